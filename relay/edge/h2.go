package edge

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/http2"

	"trunkline/internal/fault"
)

// maxH2Streams a browser's connection may have open at once: what nginx allows.
const maxH2Streams = 128

// h2 serves HTTP/2 to browsers. golang.org/x/net/http2 has the frames, HPACK
// and flow control; every stream is then one connection
// of the edge's own, with one request on it, so that there is one descent for
// both protocols (docs/adr/0015).
type h2 struct {
	e    *Edge
	base *http.Server // tells x/net of limits and of the drain; it serves nothing
	srv  *http2.Server
}

func newH2(e *Edge) (*h2, error) {
	l := e.o.Limits
	h := &h2{e: e}
	h.base = &http.Server{
		MaxHeaderBytes: l.HeadSize, IdleTimeout: l.Idle, ReadHeaderTimeout: l.Header,
		ErrorLog: zap.NewStdLog(zap.NewNop()), // every request has its event in ours
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxH2Streams, MaxReadFrameSize: 16 << 10, WriteByteTimeout: l.Progress,
			MaxReceiveBufferPerStream: 256 << 10, MaxReceiveBufferPerConnection: 1 << 20,
			CountError: e.m.h2Error,
		},
	}
	h.srv = &http2.Server{}
	if err := http2.ConfigureServer(h.base, h.srv); err != nil {
		return nil, err
	}
	return h, nil
}

// serveConn serves a connection that chose h2, until it is closed.
func (h *h2) serveConn(tc *tls.Conn) error {
	// It is busy for ever: a drain tells it by GOAWAY, and its streams run on.
	c := &conn{Conn: tc, busy: true}
	if !h.e.join(c) {
		h.e.m.refused.full.Inc()
		_ = tc.Close()
		return ErrFull
	}
	defer h.e.leave(c)
	remote := addrOf(tc)
	var resets atomic.Int64
	h.srv.ServeConn(tc, &http2.ServeConnOpts{
		BaseConfig: h.base,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if tooManyResets(&resets, r.Context().Err() != nil) {
					h.e.m.h2Error("rapid_reset")
					_ = tc.NetConn().Close()
				}
			}()
			h.serve(w, r, remote)
		}),
	})
	_ = tc.Close() // it is closed, or the browser has gone
	return nil
}

// maxResets is how many more streams of a connection a browser may take back
// than it lets end. Who leaves a page takes back dozens.
const maxResets = 256

// tooManyResets counts one stream's end, and says once that it was one reset
// too many (CVE-2023-44487: a stream that is reset at once is beyond the
// limit of concurrent ones, and has cost its opening).
func tooManyResets(n *atomic.Int64, reset bool) bool {
	if reset {
		return n.Add(1) == maxResets
	}
	if n.Add(-1) < 0 {
		n.Add(1)
	}
	return false
}

// goAway begins the graceful end of all connections.
func (h *h2) goAway() {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.base.Shutdown(done) // it has no connections of its own to wait for
}

// serve is one stream: the request goes down a pipe as HTTP/1.1, written anew
// from what was parsed, and the answer comes back from it.
func (h *h2) serve(w http.ResponseWriter, r *http.Request, remote netip.Addr) {
	if h.e.draining.Load() {
		w.Header().Set("Connection", "close") // x/net's word for GOAWAY
	}
	head, err := appendH1(nil, r)
	if err != nil {
		h.refuse(w)
		return
	}
	near, pipe := net.Pipe()
	far := &farEnd{Conn: pipe}
	end := func() { far.disarm(); _ = near.Close() } // both ways
	var wg sync.WaitGroup
	stop := context.AfterFunc(r.Context(), end)
	defer wg.Wait()
	defer r.Body.Close() // ends the upload
	defer end()
	defer stop()
	c := &conn{Conn: far, remote: remote, sni: sniOf(*r.TLS)}
	wg.Go(func() { _ = h.e.serveConn(c) })
	wg.Go(func() { sendH1(near, head, r) })
	if err := h.answer(w, r, near); err != nil {
		panic(http.ErrAbortHandler) // RST_STREAM: nobody takes a part for the whole
	}
}

// farEnd is the edge's end of a pipe. A closed pipe's timers run on to their
// deadlines and hold all that hangs on it; these are stopped before.
type farEnd struct {
	net.Conn
	mu   sync.Mutex
	over bool
}

func (f *farEnd) disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	_ = f.Conn.SetDeadline(time.Time{})
}

func (f *farEnd) Close() error {
	f.disarm()
	return f.Conn.Close()
}

func (f *farEnd) SetDeadline(t time.Time) error      { return f.set(f.Conn.SetDeadline, t) }
func (f *farEnd) SetReadDeadline(t time.Time) error  { return f.set(f.Conn.SetReadDeadline, t) }
func (f *farEnd) SetWriteDeadline(t time.Time) error { return f.set(f.Conn.SetWriteDeadline, t) }

func (f *farEnd) set(what func(time.Time) error, t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return net.ErrClosed
	}
	return what(t)
}

// refuse answers a head that HTTP/1.1 could not carry unambiguously.
func (h *h2) refuse(w http.ResponseWriter) {
	h.e.m.h2Error("bad_head")
	f := fault.New(fault.Invalid, "The request's headers are malformed or ambiguous.")
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(fault.Status(f.Code))
	_, _ = w.Write(h.e.pages.problem(f, "", "")) // the browser may have gone
}

var errH2Head = errors.New("no head for HTTP/1.1")

// appendH1 writes the request's head. Whatever could be read in two ways
// after the change of protocol is an error (RFC 9113, section 10.3).
func appendH1(b []byte, r *http.Request) ([]byte, error) {
	target := r.RequestURI
	if !isTokens(r.Method) || !isVisible(r.Host) || !isVisible(target) || target[0] != '/' && target != "*" {
		return nil, errH2Head
	}
	b = append(append(append(append(b, r.Method...), ' '), target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.Host...), "\r\n"...)
	for name, values := range r.Header {
		switch kindOf([]byte(name)) {
		case kHost:
			if !slices.Equal(values, []string{r.Host}) {
				return nil, errH2Head
			}
			continue
		case kLength:
			if n, ok := parseLength([]byte(values[0])); !ok || len(values) > 1 || n != r.ContentLength {
				return nil, errH2Head
			}
			continue
		case kConnection, kUpgrade, kTransfer:
			return nil, errH2Head
		case kHop, kExpect, kTrailer: // of this connection; x/net has answered Expect
			continue
		}
		for _, v := range values {
			at := len(b)
			b = appendField(b, []byte(name), []byte(v))
			if _, err := parseField(b[at : len(b)-2]); err != nil {
				return nil, errH2Head
			}
		}
	}
	switch {
	case r.ContentLength < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.ContentLength > 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.ContentLength, 10), "\r\n"...)
	case r.Method == http.MethodPost:
		b = append(b, "Content-Length: 0\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

func isTokens(s string) bool {
	for i := range len(s) {
		if !isToken(s[i]) {
			return false
		}
	}
	return s != ""
}

// isVisible reports whether s is of one line and one word.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// sendH1 writes head and body. A body that ends in an error is broken off, so
// that the edge sees a browser that has gone.
func sendH1(near net.Conn, head []byte, r *http.Request) {
	if _, err := near.Write(head); err != nil || r.ContentLength == 0 {
		return
	}
	buf := getBuf(largeBuf)
	defer putBuf(buf)
	for {
		n, err := r.Body.Read(buf[headRoom : len(buf)-tailRoom])
		out := buf[headRoom : headRoom+n]
		if r.ContentLength < 0 && n > 0 {
			out = frameChunk(buf, headRoom, headRoom+n)
		}
		if n > 0 {
			if _, err := near.Write(out); err != nil {
				return
			}
		}
		switch {
		case err == io.EOF && r.ContentLength < 0:
			_, _ = near.Write(lastChunk) // whoever does not read it has answered
			return
		case err == io.EOF:
			return
		case err != nil:
			_ = near.Close()
			return
		}
	}
}

// answer carries the edge's answer to the browser, each piece as it comes.
func (h *h2) answer(w http.ResponseWriter, r *http.Request, near net.Conn) error {
	br := bufio.NewReaderSize(near, smallBuf)
	resp, err := http.ReadResponse(br, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	to := w.Header()
	for name, values := range resp.Header {
		switch kindOf([]byte(name)) {
		case kConnection, kHop, kTransfer, kUpgrade:
		default:
			to[name] = values
		}
	}
	for _, name := range []string{"Content-Type", "Date"} {
		if _, ok := to[name]; !ok {
			to[name] = nil // x/net would make one up
		}
	}
	rc := http.NewResponseController(w)
	var armed time.Time
	w.WriteHeader(resp.StatusCode)
	buf := getBuf(largeBuf)
	defer putBuf(buf)
	for left := resp.ContentLength; ; {
		// What there is goes out before any wait; a chunk's end is nothing.
		if left != 0 && br.Buffered() <= len("\r\n") {
			if err := rc.Flush(); err != nil {
				return err
			}
		}
		n, err := resp.Body.Read(buf)
		left -= int64(n)
		if now := time.Now(); now.Sub(armed) > h.e.o.Limits.Progress/8 {
			armed = now
			if err := rc.SetWriteDeadline(now.Add(h.e.o.Limits.Progress)); err != nil {
				return err
			}
		}
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
