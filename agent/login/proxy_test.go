package login_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/agent/login"
)

// through is a stream whose far end a proxy serves; the test is the relay.
type through struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	ok   atomic.Bool // the stream is trusted
	dial atomic.Int64

	cancel context.CancelFunc
	done   chan struct{}
}

func pass(t *testing.T, portal http.HandlerFunc) *through {
	t.Helper()
	origin, dial := serve(t, portal)
	x := &through{t: t, done: make(chan struct{})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if x.conn, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	x.r = bufio.NewReader(x.conn)
	first, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = origin
	var ctx context.Context
	ctx, x.cancel = context.WithCancel(context.Background())
	p := login.NewProxy(login.HeaderConfig{Name: "X-Remote-User", User: "super", Person: "X-Remote-Person"})
	go func() {
		defer close(x.done)
		p.Serve(ctx, far, first, func(ctx context.Context) (net.Conn, error) { x.dial.Add(1); return dial(ctx) },
			func() (string, bool) { return "Änn <ann@example.com>\r\nX-Evil: 1", x.ok.Load() })
	}()
	t.Cleanup(func() {
		x.conn.Close()
		x.ended()
		x.cancel()
	})
	return x
}

// ended waits until the proxy has let go of the stream.
func (x *through) ended() {
	x.t.Helper()
	select {
	case <-x.done:
	case <-time.After(30 * time.Second):
		x.t.Fatal("the proxy holds on to its stream")
	}
}

func (x *through) send(s string) *http.Response {
	x.t.Helper()
	if _, err := io.WriteString(x.conn, s); err != nil {
		x.t.Fatal(err)
	}
	resp, err := http.ReadResponse(x.r, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	return resp
}

func (x *through) get(path string, fields ...string) string {
	x.t.Helper()
	resp := x.send("GET " + path + " HTTP/1.1\r\nHost: pbx.lan\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n")
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return string(b)
}

// The portal echoes who it takes the request for.
func whoIs(w http.ResponseWriter, r *http.Request) {
	for k, v := range r.Header {
		if strings.Contains(strings.ToLower(k), "remote") || strings.Contains(strings.ToLower(k), "evil") {
			fmt.Fprintf(w, "%s=%q ", k, v)
		}
	}
}

func TestTrustedHeaderIsOurs(t *testing.T) {
	x := pass(t, whoIs)
	forged := [][]string{
		{"X-Remote-User: super"}, {"x-remote-user: super"}, {"X_Remote_User: super"}, {"x-REMOTE_user: a", "X-Remote-User: b"},
		{"X-Remote-Person: Eve"}, {"x_remote_person: Eve"}, {"Connection: keep-alive, X-Remote-User", "X-Remote-User: super"},
	}
	for _, f := range forged {
		if got := x.get("/", f...); got != "" {
			t.Errorf("%q: the portal saw %s", f, got)
		}
	}
	x.ok.Store(true)
	for _, f := range append(forged, nil) {
		got := x.get("/", f...)
		if !strings.Contains(got, `X-Remote-User=["super"]`) || !strings.Contains(got, `X-Remote-Person=["Änn <ann@example.com>`) || strings.Contains(got, "Eve") || strings.Contains(got, `X-Evil=`) {
			t.Errorf("%q: the portal saw %s", f, got)
		}
	}
	x.ok.Store(false) // the switch goes off in the middle of a stream
	if got := x.get("/"); got != "" {
		t.Errorf("after that the portal saw %s", got)
	}
	// Nor in a trailer.
	resp := x.send("POST / HTTP/1.1\r\nHost: pbx.lan\r\nTransfer-Encoding: chunked\r\nTrailer: X-Remote-User\r\n\r\n1\r\na\r\n0\r\nX-Remote-User: super\r\n\r\n")
	if b, _ := io.ReadAll(resp.Body); len(b) != 0 {
		t.Errorf("in a trailer the portal saw %s", b)
	}
	if n := x.dial.Load(); n != 0 {
		t.Errorf("%d connections for one stream", n+1)
	}
}

func TestRequestsPassAsTheyAre(t *testing.T) {
	x := pass(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		fmt.Fprintf(w, "%s %s %s|%s|%s|%s|%s", r.Method, r.RequestURI, r.Host, r.Header.Get("Range"), r.Header.Get("User-Agent"), r.Header.Get("Accept-Encoding"), r.Header.Get("X-Forwarded-For"))
	})
	for _, path := range []string{"/", "/a%2Fb/%7e?x=1;y=2&z=%zz", "//double", "/a?", "/a%20b"} {
		if got, want := x.get(path, "Range: bytes=0-9"), "GET "+path+" pbx.lan|bytes=0-9|||"; got != want {
			t.Errorf("the portal saw %q, want %q", got, want)
		}
	}
	resp := x.send("GET / HTTP/1.1\r\nHost: pbx.lan\r\n\r\n")
	if _, err := io.ReadAll(resp.Body); err != nil || resp.Header["Content-Type"] != nil {
		t.Errorf("a type was guessed: %v, %v", resp.Header, err)
	}
}

func TestEventsComeWithoutDelay(t *testing.T) {
	next := make(chan struct{})
	x := pass(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			fmt.Fprint(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			<-next // not before it was read
		}
	})
	resp := x.send("GET / HTTP/1.1\r\nHost: pbx.lan\r\n\r\n")
	for range 3 {
		b := make([]byte, 9)
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "data: x\n\n" {
			t.Fatalf("%q, %v", b, err)
		}
		next <- struct{}{}
	}
}

func TestUpgradePasses(t *testing.T) {
	x := pass(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: Upgrade\r\nX-Saw: %s\r\n\r\n", r.Header.Get("Upgrade"), r.Header.Get("X-Remote-User"))
		_ = rw.Flush()
		_, _ = io.Copy(c, rw)
	})
	x.ok.Store(true)
	resp := x.send("GET /ws HTTP/1.1\r\nHost: pbx.lan\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("X-Saw") != "super" {
		t.Fatalf("%+v", resp)
	}
	for _, s := range []string{"one", "two"} {
		_, _ = io.WriteString(x.conn, s)
		b := make([]byte, len(s))
		if _, err := io.ReadFull(x.r, b); err != nil || string(b) != s {
			t.Fatalf("%q, %v", b, err)
		}
	}
	x.conn.Close()
	x.ended()
}

func TestBodiesPassBothWays(t *testing.T) {
	const size = 4 << 20
	x := pass(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if n != size || err != nil {
			t.Errorf("the portal got %d bytes, %v", n, err)
		}
		_, _ = io.CopyN(w, zeros{}, size)
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		fmt.Fprintf(x.conn, "POST / HTTP/1.1\r\nHost: pbx.lan\r\nContent-Length: %d\r\n\r\n", size)
		_, _ = io.CopyN(x.conn, zeros{}, size)
	})
	resp, err := http.ReadResponse(x.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
	wg.Wait()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// An answer that breaks off breaks off, and one that never comes does too.
func TestPortalThatBreaksOff(t *testing.T) {
	x := pass(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "part")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp := x.send("GET / HTTP/1.1\r\nHost: pbx.lan\r\n\r\n")
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%q is complete", b)
	}
	x.ended()

	x = pass(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, _ = io.WriteString(x.conn, "POST / HTTP/1.1\r\nHost: pbx.lan\r\nContent-Length: 0\r\n\r\n")
	if b, _ := io.ReadAll(x.r); len(b) != 0 {
		t.Errorf("an answer was made up: %q", b)
	}
	x.ended()
}

func TestStreamEndsWithItsTunnel(t *testing.T) {
	x := pass(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, _ = io.WriteString(x.conn, "GET / HTTP/1.1\r\nHost: pbx.lan\r\n\r\n")
	x.cancel()
	x.ended()
}

// A portal that says no before it has read everything is heard.
func TestAnswerBeforeTheBody(t *testing.T) {
	x := pass(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		fmt.Fprint(w, "too large")
	})
	resp := x.send("POST / HTTP/1.1\r\nHost: pbx.lan\r\nContent-Length: 100000000\r\n\r\npart of it")
	if b, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusRequestEntityTooLarge || string(b) != "too large" {
		t.Errorf("%s, %q, %v", resp.Status, b, err)
	}
}
