package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// h2client is a browser that speaks HTTP/2 only.
func (w *world) h2client() *http.Client {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", w.addr)
		},
		TLSClientConfig:    &tls.Config{RootCAs: w.roots, ServerName: site, NextProtos: []string{"h2"}},
		DisableCompression: true, ExpectContinueTimeout: 2 * time.Second,
	}
	if _, err := http2.ConfigureTransports(tr); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// h2portal is a real server behind the edge.
func h2portal(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return ln.Addr().String()
}

// The same portal gives the same answers over both protocols, bodies of every
// framing in both directions.
func TestH2AnswersAsH1(t *testing.T) {
	w := newWorld(t, h2portal(t, func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		rw.Header()["Date"] = nil
		rw.Header().Set("X-Saw", r.Method+" "+r.RequestURI+" "+strconv.FormatInt(r.ContentLength, 10)+" "+strings.Join(r.Header.Values("Cookie"), "|"))
		switch r.URL.Path {
		case "/none":
			rw.WriteHeader(http.StatusNoContent)
		case "/same":
			rw.WriteHeader(http.StatusNotModified)
		case "/chunked":
			rw.(http.Flusher).Flush()
			_, _ = rw.Write(b)
		default:
			rw.Header().Set("Content-Length", strconv.Itoa(len(b)))
			_, _ = rw.Write(b)
		}
	}))
	big := strings.Repeat("0123456789abcdef", 20_000)
	h1, h2 := w.client(), w.h2client()
	ask := func(c *http.Client, method, path string, body io.Reader) string {
		r := w.request(method, path, body)
		r.Header.Set("Cookie", cookie+"; a=1; b=2")
		resp, got := w.do(c, r)
		resp.Header.Del("Date")
		resp.Header.Del("Connection")
		if got == "" && path == "/chunked" && resp.Header.Get("Content-Length") == "0" {
			resp.Header.Del("Content-Length") // HTTP/2 can say it in time
		}
		var head bytes.Buffer
		_ = resp.Header.Write(&head)
		return strconv.Itoa(resp.StatusCode) + "\n" + head.String() + "\n" + got
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
		for _, path := range []string{"/?q=%20", "/none", "/same", "/chunked"} {
			for _, body := range []string{"", "small", big} {
				if body != "" && method != "POST" && method != "PUT" {
					continue
				}
				for _, known := range []bool{true, false} {
					reader := func() io.Reader {
						if body == "" {
							return nil
						}
						if known {
							return strings.NewReader(body)
						}
						return io.MultiReader(strings.NewReader(body))
					}
					one, two := ask(h1, method, path, reader()), ask(h2, method, path, reader())
					if one != two {
						t.Errorf("%s %s with %d bytes, length known %v:\nh1 %.400q\nh2 %.400q", method, path, len(body), known, one, two)
					}
				}
			}
		}
	}
}

// An event reaches the browser while the portal is silent.
func TestH2FlushesEvents(t *testing.T) {
	next := make(chan struct{})
	w := newWorld(t, h2portal(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		rw.(http.Flusher).Flush()
		for range 3 {
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
			_, _ = io.WriteString(rw, "data: x\n\n")
			rw.(http.Flusher).Flush()
		}
	}))
	resp, err := w.h2client().Do(w.request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for range 3 {
		next <- struct{}{}
		b := make([]byte, len("data: x\n\n"))
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "data: x\n\n" {
			t.Fatalf("%q %v", b, err)
		}
	}
}

// A browser that cancels a stream resets the one at the agent, and only that.
func TestH2Cancel(t *testing.T) {
	w := newWorld(t, endless(t, nil))
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := w.h2client().Do(w.request("GET", "/", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel()
	eventually(t, "the stream is reset", func() bool { return w.resets.Load() > 0 })
}

// A portal that breaks off must not look as if it had come to its end.
func TestH2BrokenAnswer(t *testing.T) {
	w := newWorld(t, answers(t, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nhalf"))
	resp, err := w.h2client().Do(w.request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var reset http2.StreamError
	if _, err := io.Copy(io.Discard, resp.Body); !errors.As(err, &reset) {
		t.Errorf("want a reset stream, got %v", err)
	}
}

// A connection that the browser made for another site is not used for this one.
func TestH2CoalescedConnection(t *testing.T) {
	w := newWorld(t, answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	r := w.request("GET", "/", nil)
	r.URL.Host, r.Host = "pbx-two."+zone, "pbx-two."+zone
	if resp, _ := w.do(w.h2client(), r); resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("answered %s", resp.Status)
	}
}

// A drain lets the stream run on, and takes no connection afterwards.
func TestH2Drain(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		close(begun)
		<-finish
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
	}))
	got := make(chan string, 1)
	c := w.h2client()
	go func() {
		resp, err := c.Do(w.request("GET", "/", nil))
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		got <- string(b)
	}()
	<-begun
	w.drained = true
	drained := make(chan error, 1)
	go func() { drained <- w.edge.Drain(t.Context()) }()
	close(finish)
	if s := <-got; s != "done" {
		t.Errorf("the running request got %q", s)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// What HTTP/1.1 could read in two ways never reaches the portal.
func TestH2Smuggling(t *testing.T) {
	w := newWorld(t, answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	good := []string{":method", "GET", ":scheme", "https", ":authority", site, ":path", "/", "cookie", cookie}
	with := func(more ...string) []string { return append(append([]string{}, good...), more...) }
	set := func(name, value string) []string {
		f := with()
		for i := 0; i < len(f); i += 2 {
			if f[i] == name {
				f[i+1] = value
			}
		}
		return f
	}
	if got := w.h2send(good); got != "200" {
		t.Fatalf("a good request: %s", got)
	}
	before := w.dials.Load()
	for name, fields := range map[string][]string{
		"crlf in a value":          with("x", "a\r\nTransfer-Encoding: chunked"),
		"lf in a value":            with("x", "a\nb"),
		"nul in a value":           with("x", "a\x00b"),
		"crlf in a name":           with("x: y\r\nz", "a"),
		"colon in a name":          with("x:y", "a"),
		"upper case name":          with("X-Upper", "a"),
		"transfer-encoding":        with("transfer-encoding", "chunked"),
		"connection":               with("connection", "x"),
		"upgrade":                  with("upgrade", "websocket"),
		"te":                       with("te", "gzip"),
		"pseudo after a field":     with(":path", "/other"),
		"unknown pseudo":           with(":x", "a"),
		"two lengths":              with("content-length", "0", "content-length", "5"),
		"a length of no digits":    with("content-length", "+1"),
		"a length without a body":  with("content-length", "5"),
		"host disagrees":           with("host", "pbx-two."+zone),
		"path with a space":        set(":path", "/ HTTP/1.1\tx"),
		"path with a request":      set(":path", "/ HTTP/1.1\r\nHost: x\r\n\r\nGET /"),
		"path of absolute form":    set(":path", "https://pbx-two."+zone+"/"),
		"path with a fragment":     set(":path", "/a#b"),
		"empty path":               set(":path", ""),
		"method with a space":      set(":method", "GET / HTTP/1.1\r\nX:"),
		"method connect":           set(":method", "CONNECT"),
		"authority with crlf":      set(":authority", site+"\r\nX: y"),
		"authority with user info": set(":authority", "a@"+site),
		"another authority":        set(":authority", "pbx-two."+zone),
	} {
		switch got := w.h2send(fields); got {
		case "400", "421", "reset", "closed":
		default:
			t.Errorf("%s: %s", name, got)
		}
	}
	if now := w.dials.Load(); now > before+1 {
		t.Errorf("%d more streams to the portal", now-before)
	}
}

// A browser that opens and resets without end is cut off, and counted. The
// device cannot be reached, so that no stream's end speaks for the browser.
func TestH2RapidReset(t *testing.T) {
	release := make(chan struct{})
	w := newWorld(t, "127.0.0.1:1", func(o *edge.Options) {
		o.Dial = func(context.Context, id.Device, edge.Header) (edge.Stream, error) {
			<-release
			return nil, fault.New(fault.PortalRefused, "The portal refuses connections.")
		}
	})
	t.Cleanup(func() { close(release) })
	c, f := w.h2raw()
	defer c.Close()
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := f.ReadFrame(); err != nil {
				ended <- err
				return
			}
		}
	}()
	head := []string{":method", "GET", ":scheme", "https", ":authority", site, ":path", "/", "cookie", cookie}
	for id := uint32(1); id < 2000; id += 2 {
		if f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(head), EndHeaders: true, EndStream: true}) != nil ||
			f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	if ne := net.Error(nil); errors.As(<-ended, &ne) && ne.Timeout() {
		t.Error("the connection is not given up")
	}
	if n, err := testutil.GatherAndCount(w.reg, "trunkline_relay_edge_http2_errors_total"); err != nil || n == 0 {
		t.Errorf("%d reasons counted, %v", n, err)
	}
}

func block(fields []string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// h2raw is a connection of which nothing is checked on this side.
func (w *world) h2raw() (*tls.Conn, *http2.Framer) {
	w.t.Helper()
	c, err := tls.Dial("tcp", w.addr, &tls.Config{RootCAs: w.roots, ServerName: site, NextProtos: []string{"h2"}})
	if err != nil {
		w.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	f.AllowIllegalWrites = true
	_ = f.WriteSettings()
	return c, f
}

// h2send makes one request and says its status, or how it ended.
func (w *world) h2send(fields []string) string {
	w.t.Helper()
	c, f := w.h2raw()
	defer c.Close()
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(fields), EndHeaders: true, EndStream: true}); err != nil {
		w.t.Fatal(err)
	}
	return h2outcome(f)
}
