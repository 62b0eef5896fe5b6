package selfca_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"testing"

	"trunkline/internal/selfca"
)

// A second start must serve the same CA, or every client that imported it is
// locked out.
func TestOpenKeepsTheCA(t *testing.T) {
	dir := t.TempDir()
	first, err := selfca.Open(dir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	second, err := selfca.Open(dir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	if !first.Pool().Equal(second.Pool()) || first.LeafSPKI() != second.LeafSPKI() {
		t.Error("the CA changed between two starts")
	}
	info, err := os.Stat(dir + "/ca.key")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ca.key: mode %v, error %v; want 0600", info.Mode(), err)
	}
}

func TestLeavesVerify(t *testing.T) {
	ca, err := selfca.Open(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "console.localhost", "PBX-1.localhost"} {
		c, err := ca.Certificate(&tls.ClientHelloInfo{ServerName: name})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := leaf(t, c).Verify(x509.VerifyOptions{DNSName: name, Roots: ca.Pool()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := ca.Certificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf(t, c).VerifyHostname(net.IPv4(127, 0, 0, 1).String()); err != nil {
		t.Errorf("without SNI: %v", err)
	}
	for _, name := range []string{"example.com", "a.b.localhost", ".localhost", "localhost.evil.example"} {
		if _, err := ca.Certificate(&tls.ClientHelloInfo{ServerName: name}); err == nil {
			t.Errorf("issued a certificate for %q", name)
		}
	}
}

func TestOpenRefusesForeignKey(t *testing.T) {
	dir := t.TempDir()
	if _, err := selfca.Open(dir, "localhost"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir + "/ca.key"); err != nil {
		t.Fatal(err)
	}
	if _, err := selfca.Open(dir, "localhost"); err == nil {
		t.Error("opened a CA whose key is another's")
	}
}

// A CA is good for its zone only: under another no client would believe it.
func TestAnotherZone(t *testing.T) {
	dir := t.TempDir()
	if _, err := selfca.Open(dir, "localhost"); err != nil {
		t.Fatal(err)
	}
	if _, err := selfca.Open(dir, "pbx.example.com"); err == nil || !strings.Contains(err.Error(), "localhost") {
		t.Errorf("a CA for localhost serves pbx.example.com: %v", err)
	}
}

func leaf(t *testing.T, c *tls.Certificate) *x509.Certificate {
	t.Helper()
	l, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return l
}
