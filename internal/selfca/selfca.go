// Package selfca is the certificate authority of an installation that brings
// no certificates of its own: it makes a CA once, keeps it in a directory, and
// issues a leaf for each host name as it is asked for. (A wildcard directly
// below "localhost" is refused by browsers, so leaves are per name.)
//
// The CA is constrained to the installation's zone (RFC 5280, section
// 4.2.1.10): whoever imports it trusts it for nothing else.
package selfca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
	// backdate lets in clients whose clocks are behind by hours.
	backdate = 48 * time.Hour
	maxCache = 512 // names; another one is issued again, for less than its handshake costs
)

// CA issues leaves for names in its zone. Safe for concurrent use.
type CA struct {
	zone string
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
	leaf *ecdsa.PrivateKey // of all leaves: one public key for a tester to pin

	mu    sync.Mutex
	cache map[string]issued
}

// issued is a leaf without its parsed form, which is most of its memory and
// nothing that a server reads.
type issued struct {
	*tls.Certificate
	until time.Time
}

// Open reads the CA in dir, or makes it. The keys are files of mode 0600.
func Open(dir, zone string) (*CA, error) {
	ca := &CA{zone: zone, dir: dir, cache: make(map[string]issued)}
	key, err := loadOrMakeKey(filepath.Join(dir, "ca.key"))
	if err != nil {
		return nil, err
	}
	ca.key = key
	if ca.leaf, err = loadOrMakeKey(filepath.Join(dir, "leaf.key")); err != nil {
		return nil, err
	}
	if ca.cert, err = loadOrMakeCert(ca.File(), zone, key); err != nil {
		return nil, err
	}
	return ca, nil
}

// File is the CA's certificate in PEM, for clients to trust.
func (ca *CA) File() string { return filepath.Join(ca.dir, "ca.pem") }

// Pool trusts this CA alone.
func (ca *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

// LeafSPKI is the SHA-256 of every leaf's public key in base64, as Chromium's
// --ignore-certificate-errors-spki-list wants it.
func (ca *CA) LeafSPKI() string {
	der, err := x509.MarshalPKIXPublicKey(ca.leaf.Public())
	if err != nil {
		panic("BUG: marshal own public key: " + err.Error())
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Certificate is a tls.Config's GetCertificate. A client without SNI gets the
// zone's own name and the loopback addresses.
func (ca *CA) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name == "" {
		name = ca.zone
	}
	if !ca.covers(name) {
		return nil, fmt.Errorf("no certificate for %q", name)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if c, ok := ca.cache[name]; ok && time.Until(c.until) > leafLife/3 {
		return c.Certificate, nil
	}
	c, err := ca.issue(name)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	if len(ca.cache) >= maxCache { // names come from strangers; start over rather than grow
		clear(ca.cache)
	}
	ca.cache[name] = c
	return c.Certificate, nil
}

func (ca *CA) covers(name string) bool {
	label, ok := strings.CutSuffix(name, "."+ca.zone)
	return name == ca.zone || ok && label != "" && !strings.Contains(label, ".") && len(label) <= 63
}

func (ca *CA) issue(name string) (issued, error) {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{name},
	}
	if name == ca.zone {
		t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, ca.leaf.Public(), ca.key)
	if err != nil {
		return issued{}, err
	}
	return issued{&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ca.leaf}, t.NotAfter}, nil
}

func newCert(zone string, key *ecdsa.PrivateKey) ([]byte, error) {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber:                serial(),
		Subject:                     pkix.Name{CommonName: "Trunkline self-made CA for " + zone},
		NotBefore:                   now.Add(-backdate),
		NotAfter:                    now.Add(caLife),
		KeyUsage:                    x509.KeyUsageCertSign,
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{zone},
		PermittedIPRanges:           loopback(),
	}
	return x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
}

func loopback() []*net.IPNet {
	return []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic("BUG: crypto/rand failed: " + err.Error())
	}
	return n
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
