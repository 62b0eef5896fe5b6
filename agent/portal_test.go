package agent_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/internal/fault"
)

func settings(url string) agent.Portal {
	c := agent.Default().Portal
	c.URL = url
	return c
}

// Which certificates of a portal are taken. httptest's is for example.com and
// 127.0.0.1, signed by itself.
func TestPortalCertificates(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	s.StartTLS()
	defer s.Close()
	addr := s.Listener.Addr().String()
	sum := sha256.Sum256(s.Certificate().Raw)
	pin := hex.EncodeToString(sum[:])
	ca := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, b, 0o600); err != nil {
		t.Fatal(err)
	}

	f := func(what, url string, change func(*agent.Portal), says string) {
		t.Helper()
		c := settings(url)
		if change != nil {
			change(&c)
		}
		p, err := agent.NewPortalForTest(c, addr)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		conn, err := p.Dial(t.Context())
		if err == nil {
			conn.Close()
		}
		switch {
		case says == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case says != "" && err == nil:
			t.Errorf("%s: taken", what)
		case says != "" && (fault.CodeOf(err) != fault.PortalRefused || !strings.Contains(err.Error(), says)):
			t.Errorf("%s: %v, want portal_refused and %q", what, err, says)
		}
		if err != nil && (strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "x509")) {
			t.Errorf("%s: staff would read %q", what, err)
		}
	}
	f("self-signed on loopback", "https://127.0.0.1:1", nil, "")
	f("self-signed on localhost", "https://localhost:1", nil, "")
	f("self-signed elsewhere", "https://example.com", nil, "does not verify")
	f("CA given", "https://example.com", func(c *agent.Portal) { c.CAFile = ca }, "")
	f("CA given, other name", "https://pbx.lan", func(c *agent.Portal) { c.CAFile = ca }, "does not verify")
	f("CA given, on loopback: no longer any certificate", "https://localhost:1", func(c *agent.Portal) { c.CAFile = ca }, "does not verify")
	f("pinned elsewhere", "https://pbx.lan", func(c *agent.Portal) { c.Pin = pin }, "")
	f("pinned, as openssl prints it", "https://pbx.lan", func(c *agent.Portal) { c.Pin = colons(pin) }, "")
	f("pinned, another certificate, on loopback", "https://127.0.0.1:1", func(c *agent.Portal) { c.Pin = strings.Repeat("00", 32) }, "pinned")
}

func colons(pin string) string {
	var out []string
	for pair := range slices.Chunk([]byte(strings.ToUpper(pin)), 2) {
		out = append(out, string(pair))
	}
	return strings.Join(out, ":")
}

// What stands where a portal should.
func TestPortalThatIsNone(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	silent := listen(t, nil)
	hangup := listen(t, func(c net.Conn) { c.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()

	f := func(what, url string, want fault.Code) {
		t.Helper()
		c := settings(url)
		c.DialTimeout = 200 * time.Millisecond
		p, err := agent.NewPortalForTest(c, "")
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := p.Dial(t.Context()); fault.CodeOf(err) != want {
			t.Errorf("%s: %v, want %s", what, err, want)
			if err == nil {
				conn.Close()
			}
		}
	}
	f("nobody listens", "http://"+closed.Addr().String(), fault.PortalRefused)
	f("nobody listens, TLS", "https://"+closed.Addr().String(), fault.PortalRefused)
	f("plain HTTP on an https URL", "https://"+plain.Listener.Addr().String(), fault.PortalRefused)
	f("takes the connection and says nothing", "https://"+silent.Addr().String(), fault.PortalTimeout)
	f("hangs up", "https://"+hangup.Addr().String(), fault.PortalRefused)
	f("no such name", "http://no-such-host.invalid", fault.PortalRefused)
}

// listen serves each connection with f, or leaves it alone, until the test ends.
func listen(t *testing.T, f func(net.Conn)) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		for {
			c, err := ln.Accept()
			if err != nil {
				break
			}
			open = append(open, c)
			if f != nil {
				f(c)
			}
		}
		for _, c := range open {
			c.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln
}

func TestOrigins(t *testing.T) {
	for in, want := range map[string]string{
		"http://127.0.0.1:8088":    "http://127.0.0.1:8088",
		"https://PBX.lan:443/":     "https://pbx.lan",
		"http://pbx.lan:80":        "http://pbx.lan",
		"http://pbx.lan:443":       "http://pbx.lan:443",
		"https://[::1]:8088":       "https://[::1]:8088",
		"https://[FE80::1]":        "https://[fe80::1]",
		"ftp://pbx.lan":            "",
		"pbx.lan":                  "",
		"http://":                  "",
		"http://:80":               "",
		"http://pbx.lan/admin":     "",
		"http://a:b@pbx.lan":       "",
		"http://pbx.lan/?":         "",
		"http://pbx.lan#x":         "",
		"http://pbx.lan:port":      "",
		"http://pbx lan":           "",
		"http://pbx\r\nHost: evil": "",
	} {
		if got, err := agent.OriginForTest(in); got != want && err == nil || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

// The relay is told under which origins the portal may name itself.
func TestStatusNamesThePortal(t *testing.T) {
	c := settings("https://127.0.0.1:8088/")
	c.Aliases = []string{"https://pbx.lan:8088", "https://PBX.lan:8088"}
	p, err := agent.NewPortalForTest(c, "")
	if err != nil {
		t.Fatal(err)
	}
	got := p.Status().Portal
	want := []string{"https://[::1]:8088", "https://localhost:8088", "https://pbx.lan:8088"}
	if got.Origin != "https://127.0.0.1:8088" || !slices.Equal(got.Aliases, want) {
		t.Errorf("%+v", got)
	}
	if p, err = agent.NewPortalForTest(settings(""), ""); err != nil {
		t.Fatal(err)
	}
	if got := p.Status().Portal.Origin; got != "https://127.0.0.1:8088" {
		t.Errorf("if nobody says where it is, it is at %s", got)
	}
}
