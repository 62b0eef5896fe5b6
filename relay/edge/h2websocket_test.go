package edge_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// h2socket is a WebSocket over HTTP/2, by hand (RFC 8441, RFC 6455).
type h2socket struct {
	t    *testing.T
	up   *io.PipeWriter
	resp *http.Response
}

// h2connect lets extended CONNECT through, which net/http's client does not.
func (w *world) h2connect() *http2.Transport {
	tr := &http2.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string, c *tls.Config) (net.Conn, error) {
			d := tls.Dialer{Config: c}
			return d.DialContext(ctx, "tcp", w.addr)
		},
		TLSClientConfig: &tls.Config{RootCAs: w.roots, ServerName: site, NextProtos: []string{"h2"}}, DisableCompression: true,
	}
	w.t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (w *world) h2socket(t *testing.T, path string, change ...func(*http.Request)) *h2socket {
	t.Helper()
	r, up := io.Pipe()
	q := w.request("CONNECT", path, r)
	q.Header[":protocol"] = []string{"websocket"}
	q.Header.Set("Sec-WebSocket-Version", "13")
	q.Header.Set("Origin", "https://"+site)
	for _, f := range change {
		f(q)
	}
	resp, err := w.h2connect().RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Close(); _ = resp.Body.Close() })
	return &h2socket{t, up, resp}
}

// send writes a frame, with a key that changes nothing.
func (s *h2socket) send(op byte, payload string) {
	s.t.Helper()
	b := []byte{0x80 | op, 0x80 | 127}
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(payload))), 0, 0, 0, 0)
	if len(payload) < 126 {
		b = []byte{0x80 | op, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	}
	if _, err := s.up.Write(append(b, payload...)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *h2socket) receive() (op byte, payload string) {
	s.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(s.resp.Body, head[:]); err != nil {
		s.t.Fatal(err)
	}
	n := uint64(head[1])
	if ext := map[uint64]int{126: 2, 127: 8}[n]; ext > 0 {
		var b [8]byte
		if _, err := io.ReadFull(s.resp.Body, b[8-ext:]); err != nil {
			s.t.Fatal(err)
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.resp.Body, b); err != nil {
		s.t.Fatal(err)
	}
	return head[0] & 0xf, string(b)
}

// closes reads a close frame's code and the stream's end.
func (s *h2socket) closes(code uint16) {
	s.t.Helper()
	op, b := s.receive()
	if op != 8 || len(b) < 2 || binary.BigEndian.Uint16([]byte(b)) != code {
		s.t.Errorf("opcode %d, %q, want close %d", op, b, code)
	}
	if n, err := io.Copy(io.Discard, s.resp.Body); n > 0 || err != nil {
		s.t.Errorf("%d bytes after the close, %v", n, err)
	}
}

// The same messages over HTTP/2 as over HTTP/1.1, the portal's close, and its no.
func TestH2WebSocket(t *testing.T) {
	w := newWorld(t, wsPortal(t))
	s := w.h2socket(t, "/ws")
	if s.resp.StatusCode != 200 || s.resp.Header.Get("Sec-WebSocket-Accept") != "" {
		t.Fatalf("%s %v", s.resp.Status, s.resp.Header)
	}
	for _, n := range []int{1, 125, 126, 70_000, 500_000} {
		msg := strings.Repeat("0123456789", n/10+1)[:n]
		s.send(1, msg)
		if op, b := s.receive(); op != 1 || b != msg {
			t.Fatalf("%d of %d bytes, opcode %d", len(b), n, op)
		}
	}
	s.send(1, "quit")
	s.closes(1000)
	eventually(t, "the event is logged", func() bool { return w.logs.FilterMessage("request").Len() == 1 })
	if m := w.logs.FilterMessage("request").All()[0].ContextMap(); m["what"] != "upgrade" || m["status"] != int64(101) {
		t.Errorf("%v", m)
	}
	if s := w.h2socket(t, "/no"); s.resp.StatusCode != 403 {
		t.Errorf("a portal that declines: %s", s.resp.Status)
	}
	if s := w.h2socket(t, "/ws", func(r *http.Request) { r.Header.Set("Origin", "https://evil.test") }); s.resp.StatusCode != 403 {
		t.Errorf("another site's page: %s", s.resp.Status)
	}
	if s := w.h2socket(t, "/ws", func(r *http.Request) { r.Header.Del("Cookie") }); s.resp.StatusCode != 401 {
		t.Errorf("without a visit: %s", s.resp.Status)
	}
	if s := w.h2socket(t, "/ws", func(r *http.Request) { r.Header[":protocol"] = []string{"connect-udp"} }); s.resp.StatusCode != 400 {
		t.Errorf("another protocol: %s", s.resp.Status)
	}
}

// Each side sees how the other one leaves: in order, or not.
func TestH2WebSocketEnds(t *testing.T) {
	w := newWorld(t, wsPortal(t))
	s := w.h2socket(t, "/ws")
	s.send(1, "die") // the portal drops the connection: no close frame, but an end
	if n, err := io.Copy(io.Discard, s.resp.Body); n > 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
	s = w.h2socket(t, "/ws")
	_ = s.resp.Body.Close() // RST_STREAM
	eventually(t, "both have ended at the relay", func() bool { return w.gauge(t, "websockets_active") == 0 })

	end := w.h2socket(t, "/ws")
	close(w.ended)
	end.closes(1008)
}

// A drain ends it with 1012, after its time.
func TestH2WebSocketDrain(t *testing.T) {
	w := newWorld(t, wsPortal(t))
	s := w.h2socket(t, "/ws")
	s.send(1, "hello")
	s.receive()
	w.drained = true
	over, cancel := context.WithCancel(t.Context())
	drained := make(chan error, 1)
	go func() { drained <- w.edge.Drain(over) }()
	s.send(1, "still here")
	if _, b := s.receive(); b != "still here" {
		t.Errorf("during the drain: %q", b)
	}
	cancel()
	s.closes(1012)
	_ = s.up.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A portal that did not understand the handshake is not taken for one that did.
func TestH2WebSocketAccept(t *testing.T) {
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm9uc2Vuc2U=\r\n\r\n")
			_, _ = io.Copy(io.Discard, r)
		}
	}))
	q := w.request("CONNECT", "/ws", io.MultiReader(strings.NewReader("x")))
	q.Header[":protocol"] = []string{"websocket"}
	if resp, err := w.h2connect().RoundTrip(q); err == nil {
		t.Errorf("answered %s", resp.Status)
		_ = resp.Body.Close()
	}
}

// Extended CONNECT is announced (RFC 8441, section 3): see internal/xconnect.
func TestH2AnnouncesExtendedConnect(t *testing.T) {
	w := newWorld(t, "127.0.0.1:1")
	c, f := w.h2raw()
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
			if v, ok := s.Value(http2.SettingEnableConnectProtocol); !ok || v != 1 {
				t.Error("it is not: browsers open a connection for each WebSocket")
			}
			return
		}
	}
}
