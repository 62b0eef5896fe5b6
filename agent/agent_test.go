package agent_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/selfca"
	"trunkline/internal/tunnel"
)

// relay is the far end of a real tunnel.
type relay struct {
	ln      net.Listener
	ca      *selfca.CA
	tunnels chan *tunnel.Relay
	status  chan tunnel.Status
	done    chan struct{}
}

// newRelay takes whoever shows pass-0 and key.
func newRelay(t *testing.T, key ed25519.PublicKey) *relay {
	t.Helper()
	ca, err := selfca.Open(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		GetCertificate: ca.Certificate, MinVersion: tls.VersionTLS13, NextProtos: []string{tunnel.ALPN},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ln: ln, ca: ca, tunnels: make(chan *tunnel.Relay, 8), status: make(chan tunnel.Status, 8), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.take(t.Context(), c.(*tls.Conn), key)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-r.done
	})
	return r
}

func (r *relay) take(ctx context.Context, c *tls.Conn, key ed25519.PublicKey) {
	tun, err := tunnel.Accept(ctx, c, tunnel.Config{}, func(h tunnel.Hello, exporter []byte) (tunnel.Welcome, error) {
		if h.Pass != "pass-0" || !tunnel.VerifyProof(key, exporter, h.Pass, h.Proof) {
			return tunnel.Welcome{}, fault.New(fault.ProofInvalid, "No.")
		}
		return tunnel.Welcome{Relay: "r1", Tunnel: id.NewTunnel(), Ping: 20 * time.Second}, nil
	})
	if err != nil {
		return
	}
	go func() { _ = tun.Run(ctx, tunnel.Handlers{OnStatus: func(s tunnel.Status) { r.status <- s }}) }()
	r.tunnels <- tun
}

// The whole agent on a real tunnel: it comes up, says where the portal is,
// carries a request, comes back when the tunnel is cut, and leaves nothing
// behind.
func TestAgentOverARealTunnel(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = io.WriteString(w, "hello "+host)
	}))
	t.Cleanup(portal.Close)
	data := t.TempDir()
	i := identity()
	key := agent.StoreForTest(t, data, i)
	r := newRelay(t, key)
	_, port, _ := net.SplitHostPort(r.ln.Addr().String())
	ca, err := os.ReadFile(r.ca.File())
	if err != nil {
		t.Fatal(err)
	}
	i.Relays, i.CA, i.Portal = []string{"relay-1.localhost:" + port}, string(ca), portal.URL
	agent.StoreForTest(t, data, i)

	c := agent.Default()
	c.Data = data
	a, err := agent.New(c, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if a.Ready() == nil {
		t.Error("ready before it runs")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()

	tun := next(t, r.tunnels)
	if s := next(t, r.status); s.Portal.Origin != portal.URL || len(s.Portal.Aliases) == 0 {
		t.Errorf("status %+v", s)
	}
	if got := get(t, tun); got != "hello 127.0.0.1" {
		t.Errorf("portal says %q", got)
	}
	if err := a.Ready(); err != nil {
		t.Error(err)
	}
	checkStatus(t, a, data)

	tun.Kill(fault.New(fault.RelayLost, "cut by the test"))
	tun = next(t, r.tunnels)
	if got := get(t, tun); got != "hello 127.0.0.1" {
		t.Errorf("after coming back the portal says %q", got)
	}

	stop()
	if err := next(t, ended); err != nil {
		t.Error(err)
	}
	select {
	case <-tun.Done():
	case <-time.After(30 * time.Second):
		t.Error("the tunnel outlives the agent")
	}
	if s, err := agent.ReadStatus(t.Context(), c); err != nil || s.Running || s.Device != i.Device {
		t.Errorf("after the end: %+v, %v", s, err)
	}
}

// checkStatus looks at a running agent from outside, with its page and without.
func checkStatus(t *testing.T, a *agent.Agent, data string) {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(a.StatusPage))
	defer page.Close()
	c := agent.Default()
	c.Data = data
	for _, c.Admin = range []string{page.Listener.Addr().String(), agent.AdminOff} {
		s, err := agent.ReadStatus(t.Context(), c)
		if err != nil || !s.Running || s.State != agent.Connected || s.Relay != "r1" || s.Since.IsZero() {
			t.Errorf("admin %s: %+v, %v", c.Admin, s, err)
		}
		if b, err := json.Marshal(s); err != nil || strings.Contains(string(b), "pass-0") {
			t.Errorf("the pass is in %s, or %v", b, err)
		}
	}
}

func get(t *testing.T, tun *tunnel.Relay) string {
	t.Helper()
	s, err := tun.Open(t.Context(), tunnel.Header{Service: "portal", Visit: id.NewVisit()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(30 * time.Second))
	_, werr := io.WriteString(s, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(s), nil)
	if err != nil {
		t.Fatal(werr, err) // a refusal is read, however the write went
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// What stands where a relay should is named for what it is.
func TestDialsOnlyRelays(t *testing.T) {
	for want, protos := range map[string][]string{
		"other than Trunkline": {"http/1.1"},  // somebody's web server
		"--ca FILE":            {tunnel.ALPN}, // a relay of somebody else's
	} {
		web := httptest.NewUnstartedServer(http.NotFoundHandler())
		web.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
		web.TLS = &tls.Config{NextProtos: protos}
		web.StartTLS()
		t.Cleanup(web.Close)
		if s := firstTrouble(t, web.Listener.Addr().String()); s.State != agent.ServerUnreachable || !strings.Contains(s.Reason, want) {
			t.Errorf("want %q: %+v", want, s)
		}
	}
}

// firstTrouble is what an agent reports of the only relay it has.
func firstTrouble(t *testing.T, relay string) agent.Status {
	t.Helper()
	data := t.TempDir()
	i := identity()
	i.Relays = []string{relay}
	agent.StoreForTest(t, data, i)
	c := agent.Default()
	c.Data, c.Server = data, "https://127.0.0.1:1"
	a, err := agent.New(c, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for a.Status().Tried == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	s := a.Status()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return s
}

func TestNoTraceOfAnAgent(t *testing.T) {
	if _, err := agent.ReadStatus(t.Context(), agent.Config{Data: t.TempDir(), Admin: "127.0.0.1:1"}); !errors.Is(err, agent.ErrNeverRan) {
		t.Error(err)
	}
}
