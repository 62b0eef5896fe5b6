package edge_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"trunkline/internal/evtls"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/logtest"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
	"trunkline/relay/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	zone    = "sites.test"
	site    = "pbx-one.sites.test"
	console = "https://console.test"
	origin  = "https://pbx.local:8088"
	cookie  = "__Host-trunkline-visit=good"
)

// stream is a TCP connection where the product has a tunnel's stream.
type stream struct{ *net.TCPConn }

func (s stream) Reset() { _ = s.SetLinger(0); _ = s.Close() }

// Lend is as a tunnel's stream lends: in pieces.
func (s stream) Lend(size int, use func(net.Buffers) error) (int, error) {
	b := make([]byte, size)
	n, err := s.Read(b)
	if err != nil {
		return 0, err
	}
	return n, use(net.Buffers{b[:n/3], b[n/3 : n]})
}

func (s stream) TryLend(size int, use func(net.Buffers) error) (int, error) {
	b := make([]byte, size)
	n, err := s.tryRead(b)
	if err != nil {
		return 0, err
	}
	return n, use(net.Buffers{b[:n/3], b[n/3 : n]})
}

// Feed is as a tunnel's stream feeds: another goroutine passes on what comes.
func (s stream) Feed(size int64, _ time.Time, take func(net.Buffers) (more bool)) (n int64, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 64<<10)
		for more := true; more && n < size; {
			var m int
			m, err = s.Read(b[:min(size-n, int64(len(b)))])
			if m == 0 {
				return
			}
			n += int64(m)
			more = take(net.Buffers{b[:m/3], b[m/3 : m]})
		}
	}()
	<-done
	if n > 0 {
		err = nil
	}
	return n, err
}

func (s stream) Alive() bool {
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	alive := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = n < 0 && err == syscall.EAGAIN
		return true
	})
	return err == nil && alive
}

// world is an edge in front of one portal.
type world struct {
	t       testing.TB
	edge    *edge.Edge
	addr    string
	plain   string
	portal  atomic.Pointer[string] // where streams go
	dials   atomic.Int64
	resets  atomic.Int64
	route   atomic.Pointer[edge.Route]
	ended   chan struct{}
	reseal  atomic.Pointer[string]
	logs    *observer.ObservedLogs
	reg     *prometheus.Registry
	roots   *x509.CertPool
	in, out atomic.Int64
	endedBy chan token.Visit
	drained bool

	poller   *evtls.Poller
	watchers sync.WaitGroup // of driven streams
}

type watched struct {
	stream
	w *world
}

func (s watched) Reset() { s.w.resets.Add(1); s.stream.Reset() }

func newWorld(t testing.TB, portal string, change ...func(*edge.Options)) *world {
	t.Helper()
	w := &world{t: t, ended: make(chan struct{}), reg: prometheus.NewRegistry(), endedBy: make(chan token.Visit, 1), poller: evtls.New(2)}
	w.portal.Store(&portal)
	w.route.Store(&edge.Route{Device: "dev_0123456789abcdef", Since: time.Now(), Portal: tunnel.Portal{Origin: origin, Aliases: []string{"http://192.168.5.150"}}})
	core, logs := logtest.New(zap.InfoLevel)
	w.logs = logs
	visit := token.Visit{ID: "vis_0123456789abcdef", Site: "pbx-one", Who: "Ann"}
	o := edge.Options{
		Zone: zone, ConsoleURL: console, Log: zap.New(core), Registerer: w.reg, Poller: w.poller,
		Live: edge.Live{AccessLog: 1, Limits: edge.Limits{Watch: 50 * time.Millisecond}},
		Admit: func(c string, s id.Site, _ edge.Activity, _ uint64) (edge.Guest, error) {
			if c != "good" {
				return edge.Guest{}, fault.New(fault.VisitNeeded, "Open this PBX from the console.")
			}
			g := edge.Guest{Visit: visit, Ended: w.ended, Why: endedBy, Count: func(in, out int64) { w.in.Add(in); w.out.Add(out) }}
			if r := w.reseal.Load(); r != nil {
				g.Cookie = *r
			}
			return g, nil
		},
		Redeem: func(_ context.Context, h string, _ id.Site, _ netip.Addr) (edge.Guest, error) {
			switch h {
			case "fresh":
				return edge.Guest{Visit: visit, Cookie: "good"}, nil
			case "used":
				return edge.Guest{}, fault.New(fault.HandoverUsed, "This link has been used.")
			}
			return edge.Guest{}, fault.New(fault.HandoverInvalid, "This link is not valid.")
		},
		End: func(v token.Visit, _ fault.Code) { w.endedBy <- v },
		Route: func(s id.Site, _ id.Device) (edge.Route, bool) {
			return *w.route.Load(), s == "pbx-one"
		},
		Dial: func(ctx context.Context, _ id.Device, h edge.Header) (edge.Stream, error) {
			w.dials.Add(1)
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", *w.portal.Load())
			if err != nil {
				return nil, fault.New(fault.PortalRefused, "The portal refuses connections.")
			}
			return &driven{watched: watched{stream{c.(*net.TCPConn)}, w}}, nil
		},
	}
	for _, f := range change {
		f(&o)
	}
	w.poller = o.Poller
	var err error
	if w.edge, err = edge.New(o); err != nil {
		t.Fatal(err)
	}
	w.listen(t)
	return w
}

// listen accepts browsers, by TLS and as a load balancer.
func (w *world) listen(t testing.TB) {
	cert, roots := selfSigned(t)
	w.roots = roots
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr, w.plain = ln.Addr().String(), plain.Addr().String()
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	polling, unpoll := context.WithCancel(context.Background())
	polled := make(chan error, 1)
	go func() { polled <- w.poller.Run(polling) }()
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				tc := tls.Server(evtls.NewConn(w.poller, c), conf) // as the listener does
				if tc.Handshake() != nil {
					_ = c.Close()
					return
				}
				_ = w.edge.ServeTLS(tc)
			})
		}
	})
	wg.Go(func() {
		if err := w.edge.ServePlain(ctx, plain); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		cancel()
		if !w.drained {
			gone, stop := context.WithCancel(context.Background())
			stop()
			_ = w.edge.Drain(gone)
		}
		wg.Wait()
		w.watchers.Wait()
		unpoll()
		if err := <-polled; err != nil {
			t.Error(err)
		}
	})
}

func selfSigned(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"*." + zone, zone}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// client is a browser with keep-alive.
func (w *world) client() *http.Client {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", w.addr)
		},
		TLSClientConfig:    &tls.Config{RootCAs: w.roots},
		DisableCompression: true, ExpectContinueTimeout: 2 * time.Second,
	}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// request is made by a visitor.
func (w *world) request(method, path string, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+site+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	return r
}

func (w *world) do(c *http.Client, r *http.Request) (*http.Response, string) {
	w.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, string(b)
}

// raw is a browser's connection without a browser.
func (w *world) raw(sni string) *tls.Conn {
	w.t.Helper()
	c, err := tls.Dial("tcp", w.addr, &tls.Config{RootCAs: w.roots, ServerName: sni, InsecureSkipVerify: sni == ""})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// send writes a raw request and reads one answer.
func (w *world) send(request string) (*http.Response, string) {
	w.t.Helper()
	c := w.raw(site)
	_, _ = io.WriteString(c, request)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("no answer to %.80q: %v", request, err)
	}
	b, _ := io.ReadAll(resp.Body)
	return resp, string(b)
}

// rawPortal serves each connection with fn; the connection is closed after it.
func rawPortal(t testing.TB, fn func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				fn(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

// answers is a portal that says the same to every request's head.
func answers(t *testing.T, say string) string {
	return rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(c, say); err != nil || strings.Contains(say, "Connection: close") || !strings.HasPrefix(say, "HTTP/1.1") {
				return
			}
		}
	})
}

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}

type (
	ctx    = context.Context
	siteID = id.Site
)

// endedBy is what ends every visit here.
func endedBy() fault.Code { return fault.AccessWithdrawn }
