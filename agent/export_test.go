package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/agent/coding"
	"trunkline/internal/controlapi"
	"trunkline/internal/tunnel"
)

type (
	LinkForTest = link
	DialForTest = func(ctx context.Context, addr, pass string) (LinkForTest, error)
	AskForTest  = func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error)
)

// OriginForTest is a portal's origin as the relay is told it.
func OriginForTest(s string) (string, error) {
	o, err := parseOrigin(s)
	return o.String(), err
}

// StoreForTest makes path the directory of an activated PBX.
func StoreForTest(t testing.TB, path string, i Identity) ed25519.PublicKey {
	t.Helper()
	d, err := openDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	key, err := d.keyOrNew()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.saveIdentity(i); err != nil {
		t.Fatal(err)
	}
	return key.Public().(ed25519.PublicKey)
}

// LoadForTest reads what is on disk.
func LoadForTest(path string) (Identity, error) {
	d, err := openDir(path)
	if err != nil {
		return Identity{}, err
	}
	defer d.Close()
	return d.identity()
}

// KeyForTest reads the key on disk.
func KeyForTest(path string) (ed25519.PublicKey, error) {
	d, err := openDir(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	k, err := d.key()
	if err != nil {
		return nil, err
	}
	return k.Public().(ed25519.PublicKey), nil
}

func ParseIdentityForTest(b []byte) (Identity, error) { return parseIdentity(b) }

// FakeForTest puts others in the place of relays and control.
func (a *Agent) FakeForTest(dial DialForTest, ask AskForTest) {
	a.reach = func(Identity, ed25519.PrivateKey) (line, error) {
		return line{ask: ask, dial: dial, dialSecond: dial, close: func() {}}, nil
	}
}

// RenewalDueForTest is how long after a restart at now a pass is renewed.
func RenewalDueForTest(p Pass, now time.Time) time.Duration {
	if due := dueAfterRestart(Identity{Pass: p}, now); !due.IsZero() {
		return due.Sub(now)
	}
	return 0
}

// PortalForTest reaches a portal whose TCP connections go to addr, if that is
// not "".
type PortalForTest struct{ p *portal }

func NewPortalForTest(c Portal, addr string) (PortalForTest, error) {
	p, err := newPortal(c, Config{}.dialer())
	if err != nil {
		return PortalForTest{}, err
	}
	p.log, p.met = zap.NewNop(), newMetrics(prometheus.NewRegistry())
	if addr != "" {
		p.dialTCP = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	return PortalForTest{p}, nil
}

// CompressForTest has the answers compressed, as where the configuration says so.
func (p PortalForTest) CompressForTest() { p.p.coder = coding.New(prometheus.NewRegistry()) }

// DialForTest puts another network in the place of TCP.
func (p PortalForTest) DialForTest(dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	p.p.dialTCP = dial
}

func (p PortalForTest) Dial(ctx context.Context) (net.Conn, error) { return p.p.dial(ctx) }

func (p PortalForTest) Serve(ctx context.Context, h tunnel.Header, c net.Conn) { p.p.serve(ctx, h, c) }

func (p PortalForTest) Status() tunnel.Status { return p.p.status() }

func SpliceForTest(ctx context.Context, stream, conn net.Conn) (in, out int64) {
	return splice(ctx, stream, conn)
}

// RandomForTest is n random bytes.
func RandomForTest(n int) []byte {
	b := make([]byte, n)
	_, _ = io.ReadFull(rand.Reader, b)
	return b
}

func ExplainForTest(err error, now time.Time) error { return explain(err, now) }

// VerifyForTest is what a TLS client whose clock says now gets from c.
func VerifyForTest(c *x509.Certificate, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(c)
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now})
	return &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{c}, Err: err}
}
