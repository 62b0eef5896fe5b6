package certfile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"trunkline/internal/certfile"
)

// issue writes a pair for name into dir.
func issue(t *testing.T, dir, name string, left time.Duration) {
	t.Helper()
	issueFor(t, dir, time.Time{}, left, name, name)
}

// issueFor writes one that is good from then on, for several names.
func issueFor(t *testing.T, dir string, from time.Time, left time.Duration, subject string, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject}, DNSNames: names, NotBefore: from, NotAfter: time.Now().Add(left),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		// In the place of the old file, as whoever renews should do it.
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path+".new", pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
}

type world struct {
	*testing.T
	*certfile.Pair
	failures prometheus.Counter
	logs     *observer.ObservedLogs
}

func open(t *testing.T, dir string, names ...string) *world {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	failures := certfile.Failures("relay")
	p, err := certfile.Open(certfile.Options{
		Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), Names: names, Failures: failures, Log: zap.New(core),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, Pair: p, failures: failures, logs: logs}
}

// serves checks whose certificate is given to clients, and how often a change
// has failed.
func (w *world) serves(name string, failures float64) {
	w.Helper()
	w.Check()
	c, err := w.Server(nil)
	if err != nil || c.Leaf.Subject.CommonName != name {
		w.Fatalf("%v, %v, not the one of %s", c.Leaf.Subject, err, name)
	}
	if c, err := w.Client(nil); err != nil || c.Leaf.Subject.CommonName != name {
		w.Fatalf("to a server: %v, %v", c.Leaf.Subject, err)
	}
	if got := testutil.ToFloat64(certfile.Expiry("relay", w.Server, name)); got != float64(c.Leaf.NotAfter.Unix()) {
		w.Errorf("it expires at %v", got)
	}
	if got := testutil.ToFloat64(w.failures); got != failures || w.logs.FilterLevelExact(zap.WarnLevel).Len() != int(failures) {
		w.Errorf("%v failures, %d warnings, want %v", got, w.logs.FilterLevelExact(zap.WarnLevel).Len(), failures)
	}
}

func TestRenewal(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir, "old.example.com", time.Hour)
	w := open(t, dir)
	w.serves("old.example.com", 0)
	issue(t, dir, "new.example.com", time.Hour)
	w.serves("new.example.com", 0)
	if n := w.logs.FilterMessage("certificate changed").Len(); n != 1 {
		t.Errorf("logged %d changes", n)
	}
}

// Kubernetes swaps the link ..data, certbot the links in live/.
func TestSwappedLink(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"1", "2"} {
		if err := os.Mkdir(filepath.Join(dir, v), 0o700); err != nil {
			t.Fatal(err)
		}
		issue(t, filepath.Join(dir, v), v+".example.com", time.Hour)
	}
	link := func(to string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, "next")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "live")); err != nil {
			t.Fatal(err)
		}
	}
	link("1")
	w := open(t, filepath.Join(dir, "live"))
	w.serves("1.example.com", 0)
	link("2")
	w.serves("2.example.com", 0)
	link("1")
	w.serves("1.example.com", 0)
}

// The pair that works goes on through whatever happens to the files, and each
// mishap is told once.
func TestABrokenPairChangesNothing(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir, "good.example.com", time.Hour)
	w := open(t, dir)
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")

	if err := os.WriteFile(cert, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.serves("good.example.com", 1)
	w.serves("good.example.com", 1) // nothing new

	issue(t, dir, "other.example.com", time.Hour)
	mine, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	issue(t, dir, "another.example.com", time.Hour)
	if err := os.WriteFile(key, mine, 0o600); err != nil { // of another certificate
		t.Fatal(err)
	}
	w.serves("good.example.com", 2)

	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	w.serves("good.example.com", 3)
	w.serves("good.example.com", 3)

	issue(t, dir, "late.example.com", -time.Minute) // expired
	w.serves("good.example.com", 4)

	issue(t, dir, "next.example.com", time.Hour)
	w.serves("next.example.com", 4)
}

func TestOpenNeedsAPair(t *testing.T) {
	dir := t.TempDir()
	if _, err := certfile.Open(certfile.Options{
		Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), Failures: certfile.Failures("relay"), Log: zap.NewNop(),
	}); err == nil {
		t.Error("opened nothing")
	}
}
