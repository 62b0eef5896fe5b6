package evtls_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"trunkline/internal/evtls"
	"trunkline/internal/selfca"
)

// limit is for what does not come about: no test waits for it to pass.
const limit = 30 * time.Second

var theCA = sync.OnceValues(func() (*selfca.CA, error) { return selfca.Open(caDir, "localhost") })

func ca(t testing.TB) *selfca.CA {
	t.Helper()
	ca, err := theCA()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func serverConfig(t testing.TB) *tls.Config {
	return &tls.Config{GetCertificate: ca(t).Certificate, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true, SessionTicketsDisabled: true}
}

func clientConfig(t testing.TB) *tls.Config {
	return &tls.Config{RootCAs: ca(t).Pool(), ServerName: "localhost", DynamicRecordSizingDisabled: true}
}

// running is a Poller with loops.
func running(t testing.TB, n int) *evtls.Poller {
	t.Helper()
	p := evtls.New(n)
	if err := p.Err(); err != nil {
		t.Skip(err) // no such system; TestBlocking... are for it
	}
	run(t, p)
	return p
}

func run(t testing.TB, p *evtls.Poller) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("poller: %v", err)
		}
	})
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func tcp(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln := listen(t)
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	ln.Close()
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// secured is both ends after their handshake; cut is what the client's TLS
// writes into, nil for the socket.
func secured(t testing.TB, p *evtls.Poller, cut func(net.Conn) net.Conn) (client *tls.Conn, server *tls.Conn, raw *evtls.Conn) {
	t.Helper()
	c, s := tcp(t)
	if cut != nil {
		c = cut(c)
	}
	raw = evtls.NewConn(p, s)
	server, client = tls.Server(raw, serverConfig(t)), tls.Client(c, clientConfig(t))
	shake(t, client, server)
	return client, server, raw
}

func shake(t testing.TB, client, server *tls.Conn) {
	t.Helper()
	done := make(chan error)
	go func() { done <- client.Handshake() }()
	if err := errors.Join(server.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
}

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// sink is a reader in event mode: it keeps what has come, and the end.
type sink struct {
	raw   *evtls.Conn
	buf   []byte
	got   chan []byte
	ended chan error // of the first error; then the socket is closed
	over  bool
}

func watch(t testing.TB, c *tls.Conn, bufSize int) *sink {
	t.Helper()
	s := &sink{raw: c.NetConn().(*evtls.Conn), buf: make([]byte, bufSize), got: make(chan []byte, 1<<16), ended: make(chan error, 1)}
	s.raw.Thrift(c) // makes no difference to anything
	if err := s.raw.Watch(c, s.ready); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.raw.Close() })
	return s
}

func (s *sink) ready() (again bool) {
	if s.over {
		return false
	}
	n, err := s.raw.TryRead(s.buf)
	switch {
	case err == nil:
		s.got <- append([]byte(nil), s.buf[:n]...)
		return true
	case !evtls.WouldBlock(err):
		s.over = true
		s.ended <- err
		s.raw.Close()
	}
	return false
}

// next waits for n bytes.
func (s *sink) next(t testing.TB, n int) []byte {
	t.Helper()
	out := make([]byte, 0, n)
	for len(out) < n {
		select {
		case b := <-s.got:
			out = append(out, b...)
		case <-time.After(limit):
			t.Fatalf("%d of %d bytes came", len(out), n)
		}
	}
	return out
}

func (s *sink) end(t testing.TB) error {
	t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(limit):
		t.Fatal("no end")
		return nil
	}
}

// chopped writes n bytes at a time, as its each says.
type chopped struct {
	net.Conn
	each func() int
}

func (c *chopped) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), c.each())
		if _, err := c.Conn.Write(rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

func (c *chopped) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

func readAll(t testing.TB, r io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Error(err)
	}
	return b
}

func tlsPair(t testing.TB, s, c net.Conn) (server, client *tls.Conn) {
	t.Helper()
	server, client = tls.Server(s, serverConfig(t)), tls.Client(c, clientConfig(t))
	shake(t, client, server)
	return server, client
}
