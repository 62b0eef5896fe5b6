package login

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	maxHead    = 256 << 10
	portalIdle = 20 * time.Second // less than any portal keeps a connection
)

// Proxy carries streams to a portal that trusts a header on loopback. It reads
// every request of every stream, and takes the header out of all but those that
// it puts it into.
type Proxy struct {
	c HeaderConfig
}

// NewProxy takes a Config that is valid.
func NewProxy(c HeaderConfig) *Proxy { return &Proxy{c: c} }

// Start is where a visitor arrives.
func (p *Proxy) Start() string { return start(p.c.Start) }

// Serve carries one stream, until it or ctx ends, and owns it. first is a
// connection to the portal, and dial makes more where the portal closes them.
// trusted says, for each request, whether it is the super administrator's, and
// which person's.
func (p *Proxy) Serve(ctx context.Context, stream, first net.Conn, dial Dial, trusted func() (who string, ok bool)) {
	t := &http.Transport{
		DisableCompression: true, IdleConnTimeout: portalIdle, MaxIdleConnsPerHost: 1, MaxResponseHeaderBytes: maxHead,
		WriteBufferSize: 32 << 10, ReadBufferSize: 32 << 10,
		ExpectContinueTimeout: time.Second, // else a body goes out unasked
	}
	var taken atomic.Bool
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		if !taken.Swap(true) {
			return first, nil
		}
		return dial(ctx)
	}
	defer func() {
		t.CloseIdleConnections()
		if !taken.Swap(true) {
			first.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stop()
	serveOne(stream, &httputil.ReverseProxy{
		Transport: t, FlushInterval: -1, BufferPool: buffers{}, ErrorLog: zap.NewStdLog(zap.NewNop()),
		Rewrite: func(r *httputil.ProxyRequest) { p.rewrite(r, trusted) },
		// A break is what it would have been without us.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	})
}

// rewrite keeps a request as it came, but for the trusted headers.
func (p *Proxy) rewrite(r *httputil.ProxyRequest, trusted func() (string, bool)) {
	out := r.Out
	out.URL.Scheme, out.URL.Host, out.Host = "http", "portal", r.In.Host // where to is the dialler's business
	out.URL.RawQuery, out.URL.ForceQuery = r.In.URL.RawQuery, r.In.URL.ForceQuery
	if path, _, _ := strings.Cut(r.In.RequestURI, "?"); strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		out.URL.Opaque = path // as it was spelt
	}
	for _, k := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := r.In.Header[k]; ok {
			out.Header[k] = v // the relay's word
		}
	}
	for k := range out.Header {
		if p.ours(k) {
			delete(out.Header, k)
		}
	}
	out.Trailer = nil
	who, ok := trusted()
	if !ok {
		return
	}
	out.Header.Set(p.c.Name, p.c.User)
	if p.c.Person != "" {
		out.Header.Set(p.c.Person, headerValue(who))
	}
}

func (p *Proxy) ours(header string) bool {
	return sameHeader(header, p.c.Name) || p.c.Person != "" && sameHeader(header, p.c.Person)
}

// serveOne serves one connection and returns when it is closed and its handler
// has returned.
func serveOne(c net.Conn, h http.Handler) {
	done := make(chan struct{})
	over := sync.OnceFunc(func() { close(done) })
	var hijacked atomic.Bool
	s := &http.Server{
		MaxHeaderBytes: maxHead, ErrorLog: zap.NewStdLog(zap.NewNop()), DisableGeneralOptionsHandler: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if hijacked.Load() {
					c.Close()
					over()
				}
			}()
			// Else the first byte of an answer closes the request's body, which
			// the transport may be reading to its end still.
			_ = http.NewResponseController(w).EnableFullDuplex() // of HTTP/1 it always can be
			w.Header()["Content-Type"] = nil                     // else the server guesses one where the portal says none
			h.ServeHTTP(w, r)
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateClosed:
				over()
			case http.StateHijacked:
				hijacked.Store(true)
			}
		},
	}
	_ = s.Serve(&one{conn: c, done: done}) // its end is the listener's
}

// one is a listener that has one connection to give.
type one struct {
	conn  net.Conn
	given bool // Serve alone accepts
	done  chan struct{}
}

var errNoMore = errors.New("there was one connection")

func (l *one) Accept() (net.Conn, error) {
	if !l.given {
		l.given = true
		return l.conn, nil
	}
	<-l.done
	return nil, errNoMore
}

func (l *one) Close() error   { return nil }
func (l *one) Addr() net.Addr { return l.conn.LocalAddr() }

// buffers pools what bodies are copied through.
type buffers struct{}

var pool = sync.Pool{New: func() any { return new([32 << 10]byte) }}

func (buffers) Get() []byte  { return pool.Get().(*[32 << 10]byte)[:] }
func (buffers) Put(b []byte) { pool.Put((*[32 << 10]byte)(b)) }
