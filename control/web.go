package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/internal/certfile"
	"trunkline/internal/fault"
	"trunkline/internal/proxyproto"
)

const (
	webDrain = 10 * time.Second // long enough for a decision, and for a list
	// webWrite bounds an answer to a client that does not read it; event
	// streams set deadlines of their own.
	webWrite = time.Minute
)

// web serves console and API: on its own TLS listener, and on connections that
// a relay's port in the same process hands over.
type web struct {
	srv   *http.Server
	ln    net.Listener // nil: only handed connections
	conns *handed
	files *certfile.Pair       // nil: the certificate is somebody else's
	front *proxyproto.Listener // below ln
}

func newWeb(o Options, h http.Handler) (*web, error) {
	w := &web{conns: newHanded()}
	w.srv = &http.Server{
		Handler:           onlyHost(o.ConsoleHost(), h),
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      webWrite,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(o.Log.Named("http")),
	}
	if o.Listen == "" {
		return w, nil
	}
	cert := o.Certificate
	failures := certfile.Failures("control")
	if cert == nil {
		var err error
		if w.files, err = certfile.Open(certfile.Options{
			Cert: o.CertFile, Key: o.KeyFile, Names: []string{o.ConsoleHost()}, Failures: failures, Log: o.Log.Named("http"),
		}); err != nil {
			return nil, fmt.Errorf("cert_file and key_file: %w", err)
		}
		cert = w.files.Server
	}
	if o.Registerer != nil {
		for _, m := range []prometheus.Collector{failures, certfile.Expiry("control", cert, o.ConsoleHost())} {
			if err := o.Registerer.Register(m); err != nil {
				return nil, err
			}
		}
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	w.front = proxyproto.Listen(ln, o.ProxyProtocol)
	w.ln = tls.NewListener(w.front, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: cert})
	return w, nil
}

// endingStreams ends event streams when ctx ends.
func endingStreams(ctx context.Context, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			rctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			r = r.WithContext(rctx)
		}
		h.ServeHTTP(w, r)
	})
}

// onlyHost answers for one host name: under another, cookies and links of the
// console would belong to somebody else.
func onlyHost(host string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			name = r.Host
		}
		if !strings.EqualFold(strings.TrimSuffix(name, "."), host) {
			fault.ProblemOf(fault.New(fault.HostMismatch, "This is %s.", host), "").Write(w)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (w *web) addr() net.Addr {
	if w.ln == nil {
		return nil
	}
	return w.ln.Addr()
}

func (w *web) hand(c net.Conn) { w.conns.put(c) }

func (w *web) close() error {
	w.conns.Close()
	if w.ln == nil {
		return nil
	}
	return w.ln.Close()
}

// Run serves until ctx ends, and then the requests that are under way: whoever
// asked for a decision gets it. Event streams end at once; whoever watches comes
// again, to another node.
func (w *web) Run(ctx context.Context) error {
	running, stopRunning := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRunning()
	w.srv.BaseContext = func(net.Listener) context.Context { return running }
	w.srv.Handler = endingStreams(ctx, w.srv.Handler)
	errs := make(chan error, 2)
	n := 1
	go func() { errs <- w.srv.Serve(w.conns) }()
	if w.files != nil {
		look, stop := context.WithCancel(ctx)
		var watch sync.WaitGroup
		watch.Go(func() { _ = w.files.Run(look) }) // it ends with look
		defer func() { stop(); watch.Wait() }()
	}
	if w.ln != nil {
		n++
		go func() { errs <- w.srv.Serve(w.ln) }()
	}
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-errs:
		n--
	}
	dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), webDrain)
	defer cancel()
	if w.srv.Shutdown(dctx) != nil {
		_ = w.srv.Close() // what is left has had its time
	}
	for ; n > 0; n-- {
		//nolint:errcheck // ErrServerClosed: we have just closed it
		<-errs
	}
	if failed != nil && !errors.Is(failed, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", failed)
	}
	return nil
}

// handed is a listener whose connections come from elsewhere.
type handed struct {
	ch   chan net.Conn
	done context.Context // a closed channel that may be closed twice, no more
	stop context.CancelFunc
}

func newHanded() *handed {
	h := &handed{ch: make(chan net.Conn)}
	h.done, h.stop = context.WithCancel(context.Background())
	return h
}

func (h *handed) put(c net.Conn) {
	select {
	case h.ch <- c:
	case <-h.done.Done():
		c.Close()
	}
}

func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.ch:
		return c, nil
	case <-h.done.Done():
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error {
	h.stop()
	return nil
}

func (h *handed) Addr() net.Addr { return &net.TCPAddr{} }
