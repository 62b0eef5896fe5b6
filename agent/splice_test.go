package agent_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trunkline/agent"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// ends are the four ends of a spliced pair: what the relay holds, what the
// portal holds, and the two between them that splice gets.
func ends(t *testing.T) (relay, stream, conn, portal net.Conn) {
	t.Helper()
	pair := func() (net.Conn, net.Conn) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		a, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		b, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
	relay, stream = pair()
	conn, portal = pair()
	return relay, stream, conn, portal
}

func TestSpliceBothWays(t *testing.T) {
	defer goleak.VerifyNone(t)
	relay, stream, conn, portal := ends(t)
	up, down := agent.RandomForTest(3<<20), agent.RandomForTest(5<<20)
	type counts struct{ in, out int64 }
	done := make(chan counts, 1)
	go func() {
		in, out := agent.SpliceForTest(t.Context(), stream, conn)
		done <- counts{in, out}
	}()
	send := func(c net.Conn, b []byte) { _, _ = c.Write(b) }
	go send(relay, up)
	go send(portal, down)
	receive := func(c net.Conn, want []byte) <-chan bool {
		ok := make(chan bool, 1)
		go func() {
			h := sha256.New()
			_, err := io.CopyN(h, c, int64(len(want)))
			sum := sha256.Sum256(want)
			ok <- err == nil && bytes.Equal(h.Sum(nil), sum[:])
		}()
		return ok
	}
	gotUp, gotDown := receive(portal, up), receive(relay, down)
	if !<-gotUp || !<-gotDown {
		t.Error("bytes were lost or changed")
	}
	portal.Close()
	if n, err := relay.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the portal closed, and the relay read %d, %v", n, err)
	}
	relay.Close()
	if c := <-done; c.in != int64(len(up)) || c.out != int64(len(down)) {
		t.Errorf("counted %d in and %d out", c.in, c.out)
	}
}

// However one side ends, in whatever state the other is, both are closed.
func TestSpliceEndsAbruptly(t *testing.T) {
	defer goleak.VerifyNone(t)
	reset := func(c net.Conn) {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	for what, f := range map[string]func(relay, portal net.Conn, cancel func()){
		"relay closes":    func(r, _ net.Conn, _ func()) { r.Close() },
		"relay resets":    func(r, _ net.Conn, _ func()) { reset(r) },
		"portal closes":   func(_, p net.Conn, _ func()) { p.Close() },
		"portal resets":   func(_, p net.Conn, _ func()) { reset(p) },
		"the tunnel ends": func(_, _ net.Conn, cancel func()) { cancel() },
		"portal closes while nobody reads what it sent": func(_, p net.Conn, _ func()) {
			_ = p.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = p.Write(make([]byte, 64<<20)) // fills every buffer on the way
			reset(p)
		},
	} {
		relay, stream, conn, portal := ends(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			agent.SpliceForTest(ctx, stream, conn)
		}()
		f(relay, portal, cancel)
		if what == "portal closes while nobody reads what it sent" {
			relay.Close() // backpressure: only now can the splice see anything
		}
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Errorf("%s: the splice goes on", what)
		}
		for _, c := range []net.Conn{relay, portal} {
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
			_, err := io.Copy(io.Discard, c)
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Errorf("%s: the other side was not closed", what)
			}
			c.Close()
		}
		cancel()
	}
}

// A reply comes before the first byte, and says why there is no portal.
func TestServe(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // last: after those of listen
	echo := listen(t, func(c net.Conn) { go func() { _, _ = io.Copy(c, c) }() })
	c := settings("http://" + echo.Addr().String())
	c.MaxStreams = 1
	p, err := agent.NewPortalForTest(c, "")
	if err != nil {
		t.Fatal(err)
	}
	open := func(service string) net.Conn {
		relay, stream := net.Pipe()
		t.Cleanup(func() { relay.Close() })
		go p.Serve(t.Context(), tunnel.Header{Service: service, Visit: id.NewVisit()}, stream)
		return relay
	}
	first := open("portal")
	if b := make([]byte, 1); read(t, first, b) != "\x00" {
		t.Fatalf("reply %q", b)
	}
	if _, err := first.Write([]byte("GET")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, first, make([]byte, 3)); got != "GET" {
		t.Errorf("echo %q", got)
	}
	refused := func(c net.Conn, want fault.Code) {
		t.Helper()
		b, err := io.ReadAll(c)
		if err != nil || len(b) < 3 || b[0] != 1 || !bytes.Contains(b, []byte(want)) {
			t.Errorf("reply %q, error %v; want %s", b, err, want)
		}
	}
	refused(open("portal"), fault.TooMany)
	refused(open("ssh"), fault.NotFound)
	waiting := open("portal")
	first.Close()
	if b := make([]byte, 1); read(t, waiting, b) != "\x00" {
		t.Errorf("whoever comes just before another goes: reply %q", b)
	}
	waiting.Close()

	gone, err := agent.NewPortalForTest(settings("http://127.0.0.1:1"), "")
	if err != nil {
		t.Fatal(err)
	}
	p = gone
	refused(open("portal"), fault.PortalRefused)
}

func read(t *testing.T, c net.Conn, b []byte) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}
