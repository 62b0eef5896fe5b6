// Package peercert is the certificates by which relays know each other: an
// authority that control keeps, requests that relays make for keys which never
// leave them, and what makes a certificate that of a relay. Pure: no clock, no
// disk, no network.
//
// An authority issues for AuthorityActive and stays good until the last
// certificate it issued has ended, so that its successor takes over without a
// gap. It is good for names of relays and for nothing else (RFC 5280, section
// 4.2.1.10).
package peercert

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	// Life is a certificate's. A relay asks for the next one at two thirds of it.
	Life = 24 * time.Hour
	// AuthorityActive is how long an authority issues.
	AuthorityActive = 30 * 24 * time.Hour
	// leeway is between the clocks of our own nodes.
	leeway = 2 * time.Minute
	// astray is by how much certificates are dated back: a clock may be wrong by as
	// much, after a step or with the wrong time zone, and the relay still knows the
	// others. Nobody has a certificate any sooner for that, and none lasts longer.
	astray = 2 * time.Hour

	// domain has the relays' names in certificates below it. Nobody resolves
	// it: .internal is kept free for such use (ICANN resolution 2024.07.29.06).
	domain     = "relay.trunkline.internal"
	requestMax = 2 << 10
)

// Authority issues certificates. It never leaves control.
type Authority struct {
	ID        string
	Private   ed25519.PrivateKey
	Cert      []byte // DER, self-signed
	NotBefore time.Time
	NotAfter  time.Time // of its certificate
}

// Root is what relays know of an authority: bucket keys, key peer.<id>.
type Root struct {
	ID        string    `json:"id"`
	Cert      []byte    `json:"cert"` // DER
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

// NewAuthority makes one that issues from now on.
func NewAuthority(now time.Time) Authority {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic("BUG: crypto/rand failed: " + err.Error())
	}
	a := Authority{ID: id.Ref(), Private: key, NotBefore: now, NotAfter: now.Add(AuthorityActive + Life + leeway)}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Trunkline relays " + a.ID},
		NotBefore: now.Add(-astray), NotAfter: a.NotAfter,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomains: []string{domain}, PermittedDNSDomainsCritical: true,
	}
	if a.Cert, err = x509.CreateCertificate(rand.Reader, t, t, key.Public(), key); err != nil {
		panic("BUG: peer authority: " + err.Error())
	}
	return a
}

// Root is what a's relays are told of it.
func (a Authority) Root() Root {
	return Root{ID: a.ID, Cert: a.Cert, NotBefore: a.NotBefore, NotAfter: a.NotAfter}
}

// Request asks for a certificate for key, in r's name (PKCS #10, RFC 2986).
func Request(r id.Relay, key ed25519.PrivateKey) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{nameOf(r)}}, key)
}

// Issue answers r's request with a certificate in DER. Whoever calls it knows
// that it is r who asks; the request shows that r has the key. Errors are faults.
func (a Authority) Issue(r id.Relay, request []byte, now time.Time) ([]byte, error) {
	if len(request) > requestMax {
		return nil, fault.New(fault.Invalid, "The certificate request is longer than %d bytes.", requestMax)
	}
	q, err := x509.ParseCertificateRequest(request)
	if err == nil {
		err = q.CheckSignature()
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "The certificate request is malformed.")
	}
	if _, ok := q.PublicKey.(ed25519.PublicKey); !ok {
		return nil, fault.New(fault.Invalid, "The certificate request is for a key that is not Ed25519.")
	}
	if len(q.DNSNames) != 1 || q.DNSNames[0] != nameOf(r) {
		return nil, fault.New(fault.Forbidden, "A relay gets a certificate in its own name only.")
	}
	parent, err := x509.ParseCertificate(a.Cert)
	if err != nil {
		return nil, fmt.Errorf("peer authority %s: %w", a.ID, err)
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), NotBefore: now.Add(-astray), NotAfter: now.Add(Life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{nameOf(r)},
	}, parent, q.PublicKey, a.Private)
}

// Verify says whose certificate it is that a peer showed: one that an authority
// of roots has issued, and that is good now.
func Verify(shown []*x509.Certificate, roots *x509.CertPool, now time.Time) (id.Relay, error) {
	if len(shown) == 0 {
		return "", errors.New("no certificate")
	}
	leaf := shown[0]
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return "", err
	}
	if len(leaf.DNSNames) != 1 {
		return "", errors.New("the certificate names not one relay")
	}
	label, ok := strings.CutSuffix(leaf.DNSNames[0], "."+domain)
	var r id.Relay
	if !ok || r.UnmarshalText([]byte(label)) != nil {
		return "", errors.New("the certificate names no relay")
	}
	return r, nil
}

func nameOf(r id.Relay) string { return string(r) + "." + domain }

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand, since Go 1.24)
	b[0] &= 0x7f // positive (RFC 5280, section 4.1.2.2)
	b[0] |= 0x40
	return new(big.Int).SetBytes(b)
}
