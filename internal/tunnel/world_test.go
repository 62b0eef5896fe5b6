package tunnel_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trunkline/internal/cork"
	"trunkline/internal/evtls"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const pass = "a.pass.of-this-device"

var info = tunnel.AgentInfo{Version: "1.2.3", OS: "linux", Arch: "arm64"}

// testCert is made once: what is in it does not matter here.
var testCert = sync.OnceValue(func() tls.Certificate {
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(100 * 365 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, priv)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: priv}
})

func serverTLS() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{testCert()}, NextProtos: []string{tunnel.ALPN},
		MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true,
	}
}

func clientTLS() *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{tunnel.ALPN}, // who the relay is, is TLS's own affair
		DynamicRecordSizingDisabled: true,
	}
}

// asRun is two ends as a relay and an agent have them.
func asRun(t testing.TB) (server, client net.Conn) {
	server, client = tcpPair(t)
	return evtls.NewConn(evtls.NewBlocking(), server), cork.New(client)
}

// tcpPair is two ends of one TCP connection on loopback.
func tcpPair(t testing.TB) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

// world is a tunnel with both its ends running.
type world struct {
	relay *tunnel.Relay
	agent *tunnel.Agent
	key   ed25519.PrivateKey

	relayRun, agentRun chan error // what Run returned
}

type setup struct {
	relay, agent tunnel.Config
	handlers     tunnel.Handlers
	onStream     func(context.Context, tunnel.Header, net.Conn)
	onDrain      func(tunnel.Drain)
	onHome       func(tunnel.Home)
	onRefused    func(*fault.Error)
	onVisit      func(tunnel.Visit)
	onVisitEnd   func(id.Visit, fault.Code)
	onDoubt      func(int)
	conns        func(testing.TB) (server, client net.Conn) // asRun if nil
}

// echo answers what it gets, until it gets no more.
func echo(_ context.Context, _ tunnel.Header, c net.Conn) {
	defer c.Close()
	if tunnel.AcceptStream(c) == nil {
		_, _ = io.Copy(c, c)
	}
}

func admitAll(tunnel.Hello, []byte) (tunnel.Welcome, error) {
	return tunnel.Welcome{Relay: "relay-1", Tunnel: id.NewTunnel()}, nil
}

func start(t testing.TB, s setup) *world {
	t.Helper()
	if s.conns == nil {
		s.conns = asRun
	}
	if s.onStream == nil {
		s.onStream = echo
	}
	server, client := s.conns(t)
	pub, key, _ := ed25519.GenerateKey(rand.Reader)
	w := &world{key: key, relayRun: make(chan error, 1), agentRun: make(chan error, 1)}
	accepted := make(chan error, 1)
	go func() {
		var err error
		w.relay, err = tunnel.Accept(context.Background(), tls.Server(server, serverTLS()), s.relay, func(h tunnel.Hello, exporter []byte) (tunnel.Welcome, error) {
			if !tunnel.VerifyProof(pub, exporter, h.Pass, h.Proof) {
				return tunnel.Welcome{}, fault.New(fault.ProofInvalid, "no")
			}
			return admitAll(h, exporter)
		})
		accepted <- err
	}()
	var err error
	w.agent, err = tunnel.Dial(context.Background(), tls.Client(client, clientTLS()), s.agent, pass, key, info)
	if err := errors.Join(err, <-accepted); err != nil {
		t.Fatal(err)
	}
	// Not t.Context: a tunnel is ended by what the test does, or at clean-up.
	ctx, cancel := context.WithCancel(context.Background())
	var runs sync.WaitGroup
	runs.Go(func() { w.relayRun <- w.relay.Run(ctx, s.handlers) })
	runs.Go(func() {
		w.agentRun <- w.agent.Run(ctx, tunnel.AgentHandlers{OnStream: s.onStream, OnDrain: s.onDrain, OnHome: s.onHome, OnRefused: s.onRefused, OnVisit: s.onVisit, OnVisitEnd: s.onVisitEnd, OnDoubt: s.onDoubt})
	})
	t.Cleanup(func() { cancel(); runs.Wait() })
	return w
}

func (w *world) open(t testing.TB) *tunnel.Stream {
	t.Helper()
	s, err := w.relay.Open(t.Context(), tunnel.Header{Service: "portal", Visit: id.NewVisit(), Who: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// within fails the test if ch gives nothing in time.
func within[T any](t testing.TB, d time.Duration, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(d):
		t.Fatalf("nothing within %v", d)
		panic("unreachable")
	}
}

func wantCode(t testing.TB, err error, code fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != code {
		t.Fatalf("got %v (code %q), want code %q", err, got, code)
	}
}
