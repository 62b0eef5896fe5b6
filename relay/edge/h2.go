package edge

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"

	"go.uber.org/zap"
	"golang.org/x/net/http2"

	"trunkline/internal/fault"
	_ "trunkline/internal/xconnect" // extended CONNECT is offered
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
	calm := newCalmConn(tc, h.e.o.Limits.Header, h.e.m.h2Error)
	h.srv.ServeConn(calm, &http2.ServeConnOpts{
		BaseConfig: h.base,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if r.Context().Err() == nil {
					calm.ended()
				}
			}()
			h.serve(w, r, tc, remote)
		}),
	})
	_ = tc.Close() // it is closed, or the browser has gone
	return nil
}

// goAway begins the graceful end of all connections.
func (h *h2) goAway() {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.base.Shutdown(done) // it has no connections of its own to wait for
}

// serve is one stream, on x/net's goroutine for it: the request is given to the
// edge as HTTP/1.1, written anew from what was parsed.
func (h *h2) serve(w http.ResponseWriter, r *http.Request, tc *tls.Conn, remote netip.Addr) {
	if h.e.retiring.Load() {
		w.Header().Set("Connection", "close") // x/net's word for GOAWAY
	}
	key := ""
	if isWebSocket(r) {
		key = newKey()
	}
	head, err := appendH1(make([]byte, 0, 1<<10), r, key)
	if err != nil {
		h.refuse(w)
		return
	}
	s := newH2Conn(w, r, tc, head, h.e)
	if key != "" {
		s.body, s.accept = 0, acceptOf(key) // the tunnel begins with the portal's word
	}
	_ = h.e.serveConn(&conn{Conn: s, remote: remote, sni: sniOf(*r.TLS)})
	if !s.release() {
		panic(http.ErrAbortHandler) // RST_STREAM: nobody takes a part for the whole
	}
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
