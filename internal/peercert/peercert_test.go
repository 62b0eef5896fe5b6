package peercert_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/peercert"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func request(t *testing.T, r id.Relay) []byte {
	t.Helper()
	q, err := peercert.Request(r, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func issue(t *testing.T, a peercert.Authority, r id.Relay) []*x509.Certificate {
	t.Helper()
	der, err := a.Issue(r, request(t, r), now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{c}
}

func pool(t *testing.T, all ...peercert.Authority) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	for _, a := range all {
		c, err := x509.ParseCertificate(a.Root().Cert)
		if err != nil {
			t.Fatal(err)
		}
		p.AddCert(c)
	}
	return p
}

func TestACertificateNamesItsRelay(t *testing.T) {
	a := peercert.NewAuthority(now)
	r, err := peercert.Verify(issue(t, a, "relay-1"), pool(t, a), now)
	if err != nil || r != "relay-1" {
		t.Errorf("%q, %v", r, err)
	}
}

// An authority and its successor are known together, and what either has issued
// is good.
func TestAuthoritiesOverlap(t *testing.T) {
	old, next := peercert.NewAuthority(now), peercert.NewAuthority(now.Add(peercert.AuthorityActive))
	if end := now.Add(peercert.AuthorityActive + peercert.Life); old.NotAfter.Before(end) {
		t.Errorf("the old one ends at %v, before the last certificate it may have issued at %v", old.NotAfter, end)
	}
	both := pool(t, old, next)
	for _, a := range []peercert.Authority{old, next} {
		at := a.NotBefore.Add(time.Hour)
		der, err := a.Issue("relay-1", request(t, "relay-1"), at)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := peercert.Verify([]*x509.Certificate{c}, both, at); err != nil {
			t.Error(err)
		}
	}
}

// A relay whose clock was set back by an hour knows the others, also in an
// installation that is minutes old.
func TestAClockThatIsAnHourBehindKeepsNobodyOut(t *testing.T) {
	a := peercert.NewAuthority(now)
	if r, err := peercert.Verify(issue(t, a, "relay-1"), pool(t, a), now.Add(-time.Hour)); err != nil || r != "relay-1" {
		t.Errorf("%q, %v", r, err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	a, stranger := peercert.NewAuthority(now), peercert.NewAuthority(now)
	refused := func(what string, shown []*x509.Certificate, at time.Time) {
		t.Helper()
		if r, err := peercert.Verify(shown, pool(t, a), at); err == nil || r != "" {
			t.Errorf("%s: taken for %q", what, r)
		}
	}
	refused("none", nil, now)
	refused("another authority's", issue(t, stranger, "relay-1"), now)
	refused("one that has ended", issue(t, a, "relay-1"), now.Add(peercert.Life+time.Second))
	refused("one of days to come", issue(t, a, "relay-1"), now.Add(-24*time.Hour))
	refused("one of another purpose", custom(t, a, "relay-1.relay.trunkline.internal", x509.ExtKeyUsageServerAuth), now)
	refused("one outside the domain", custom(t, a, "relay-1.example.com", x509.ExtKeyUsageClientAuth), now)
	refused("one of no relay's name", custom(t, a, "a.b.relay.trunkline.internal", x509.ExtKeyUsageClientAuth), now)
}

// custom is what an authority would not issue.
func custom(t *testing.T, a peercert.Authority, name string, use x509.ExtKeyUsage) []*x509.Certificate {
	t.Helper()
	parent, err := x509.ParseCertificate(a.Cert)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{use}, Subject: pkix.Name{CommonName: name},
	}, parent, newKey(t).Public(), a.Private)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{c}
}

func TestIssueRefuses(t *testing.T) {
	a := peercert.NewAuthority(now)
	refused := func(what string, q []byte, code fault.Code) {
		t.Helper()
		if der, err := a.Issue("relay-1", q, now); der != nil || fault.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", what, err, code)
		}
	}
	refused("another relay's name", request(t, "relay-2"), fault.Forbidden)
	refused("nothing", nil, fault.Invalid)
	refused("too much", make([]byte, 1<<20), fault.Invalid)
	forged := request(t, "relay-1")
	forged[len(forged)-1] ^= 1
	refused("a signature of another key", forged, fault.Invalid)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	q, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"relay-1.relay.trunkline.internal"}}, other)
	if err != nil {
		t.Fatal(err)
	}
	refused("a key of another kind", q, fault.Invalid)
}
