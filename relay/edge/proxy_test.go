package edge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// httpPortal is a portal on net/http; addr is where the agent would find it.
func httpPortal(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// A visitor's request reaches the portal as if it came from its own page, and
// the next one goes over the same stream.
func TestRequestReachesPortalAsItsOwn(t *testing.T) {
	got := make(chan *http.Request, 8)
	w := newWorld(t, httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
		got <- r.Clone(r.Context())
		fmt.Fprint(rw, "hello")
	}))
	c := w.client()
	r := w.request("GET", "/a%2Fb/../c?x=%zz&y=1", nil)
	r.URL.Opaque = "/a%2Fb/../c"
	r.Header.Set("Cookie", "a=1; __Host-trunkline-visit=good;b=2 ; __Host-trunkline-visit=other")
	r.Header.Set("Origin", "https://"+site)
	r.Header.Set("Referer", "https://"+site+"/page?q")
	for _, h := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X_Forwarded_For", "Forwarded", "X-Real-IP", "X-Trunkline-Who", "True-Client-IP", "X_Client_Ip", "X-Original-URL", "Content_Length", "Transfer_Encoding", "Keep-Alive", "Te", "Proxy-Authorization", "Secret-Hop"} {
		r.Header[h] = []string{"evil"}
	}
	r.Header.Set("Connection", "Secret-Hop, keep-alive")
	for range 2 {
		resp, body := w.do(c, r)
		if resp.StatusCode != 200 || body != "hello" {
			t.Fatalf("got %d %q", resp.StatusCode, body)
		}
		p := <-got
		if p.RequestURI != "/a%2Fb/../c?x=%zz&y=1" || p.Host != "pbx.local:8088" {
			t.Errorf("target %q host %q", p.RequestURI, p.Host)
		}
		want := map[string]string{"Cookie": "a=1;b=2 ", "Origin": origin, "Referer": origin + "/page?q"}
		for k, v := range want {
			if strings.TrimRight(p.Header.Get(k), " ") != strings.TrimRight(v, " ") {
				t.Errorf("%s: %q, want %q", k, p.Header.Get(k), v)
			}
			delete(p.Header, k)
		}
		for k := range p.Header {
			if k != "User-Agent" && k != "Accept-Encoding" {
				t.Errorf("the portal was sent %s: %q", k, p.Header.Get(k))
			}
		}
	}
	if n := w.dials.Load(); n != 1 {
		t.Errorf("%d streams for two requests of a visit", n)
	}
}

// Whatever names the portal in an answer names the site to the browser.
func TestAnswerIsMapped(t *testing.T) {
	w := newWorld(t, httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Location", "HTTPS://PBX.local:8088/login")
		h.Set("Content-Location", "http://192.168.5.150:80/x")
		h.Set("Refresh", "5; url=//pbx.local:8088/y")
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Set-Cookie", "sid=1; Domain=pbx.local; Path=/admin; HttpOnly; SameSite=Strict")
		h.Add("Set-Cookie", "__Host-trunkline-visit=stolen; Path=/")
		h.Add("Set-Cookie", "other=2; domain=.example.com")
		h.Set("Strict-Transport-Security", "max-age=1")
		h.Set("Alt-Svc", `h3=":443"`)
		h.Set("Clear-Site-Data", `"cookies"`)
		h.Set("Content-Security-Policy", "default-src 'self'")
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("X-Custom", "stays")
		rw.WriteHeader(302)
	}))
	resealed := "resealed"
	w.reseal.Store(&resealed)
	resp, _ := w.do(w.client(), w.request("GET", "/", nil))
	want := map[string]string{
		"Location": "https://" + site + "/login", "Content-Location": "https://" + site + "/x",
		"Refresh": "5; url=https://" + site + "/y", "Access-Control-Allow-Origin": "https://" + site,
		"Strict-Transport-Security": "", "Alt-Svc": "", "Clear-Site-Data": "", "X-Hop": "",
		"Content-Security-Policy": "default-src 'self'", "X-Custom": "stays",
	}
	for k, v := range want {
		if got := resp.Header.Get(k); got != v {
			t.Errorf("%s: %q, want %q", k, got, v)
		}
	}
	cookies := strings.Join(resp.Header.Values("Set-Cookie"), "\n")
	wantCookies := "sid=1; Path=/admin; HttpOnly; SameSite=Strict\nother=2\n__Host-trunkline-visit=resealed; Path=/; Secure; HttpOnly; SameSite=Lax"
	if cookies != wantCookies {
		t.Errorf("cookies\n%s\nwant\n%s", cookies, wantCookies)
	}
}

// Every framing a portal can choose arrives as the same body, and the
// browser's connection lives on.
func TestFramings(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 20000)
	for name, say := range map[string]string{
		"length":          fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long),
		"chunked":         fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x;ext=1\r\n%s\r\n5\r\n%s\r\n0\r\nX-T: 1\r\n\r\n", len(long)-5, long[:len(long)-5], long[len(long)-5:]),
		"close":           "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + long,
		"1.0":             "HTTP/1.0 200 OK\r\n\r\n" + long,
		"1.0 with length": fmt.Sprintf("HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long),
		"bare LF":         fmt.Sprintf("HTTP/1.1 200 OK\nContent-Length: %d\n\n%s", len(long), long),
		"interim":         fmt.Sprintf("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long),
		"folded":          fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: %d\r\n\r\n%s", len(long), long),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, answers(t, say))
			c := w.client()
			for range 3 {
				resp, body := w.do(c, w.request("GET", "/", nil))
				if resp.StatusCode != 200 || body != long {
					t.Fatalf("status %d, %d bytes, want %d", resp.StatusCode, len(body), len(long))
				}
				if resp.Close {
					t.Error("the browser's connection was closed")
				}
			}
		})
	}
}

// Answers without a body have none, whatever they announce.
func TestBodiless(t *testing.T) {
	f := func(method, say string, status int, length string) {
		t.Helper()
		w := newWorld(t, answers(t, say))
		c := w.client()
		for range 2 {
			resp, body := w.do(c, w.request(method, "/", nil))
			if resp.StatusCode != status || body != "" || resp.Header.Get("Content-Length") != length {
				t.Errorf("%s: %d %q Content-Length %q", method, resp.StatusCode, body, resp.Header.Get("Content-Length"))
			}
		}
	}
	f("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n", 200, "77")
	f("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "")
	f("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: x\r\n\r\n", 304, "77")
	f("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "")
	f("GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", 205, "0")
}

// An HTTP/1.0 client gets no chunks; the end of the connection ends the body.
func TestOldBrowser(t *testing.T) {
	w := newWorld(t, answers(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	c := w.raw(site)
	fmt.Fprintf(c, "GET / HTTP/1.0\r\nHost: %s\r\nCookie: %s\r\n\r\n", site, cookie)
	b, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(b), "\r\n\r\nhello") || strings.Contains(string(b), "chunked") {
		t.Errorf("%q %v", b, err)
	}
}

// Uploads arrive whole, by length and in chunks, small and large, with and
// without Expect; and the connection serves the next request.
func TestUploads(t *testing.T) {
	w := newWorld(t, httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(rw, "%d %v %d", n, err, r.ContentLength)
	}))
	c := w.client()
	for _, n := range []int{0, 1, 8 << 10, 8<<10 + 1, 5 << 20} {
		for _, chunked := range []bool{false, true} {
			body := strings.NewReader(strings.Repeat("x", n))
			r := w.request("POST", "/up", body)
			length := n
			if chunked && n > 0 {
				r = w.request("POST", "/up", io.MultiReader(body))
				length = -1
			}
			if n > 1000 {
				r.Header.Set("Expect", "100-continue")
			}
			if _, got := w.do(c, r); got != fmt.Sprintf("%d <nil> %d", n, length) {
				t.Errorf("%d bytes, chunked %v: %s", n, chunked, got)
			}
		}
	}
	if w.in.Load() < 5<<20 {
		t.Errorf("the visit was told of %d bytes", w.in.Load())
	}
}

// A body that dribbles is passed on as it comes, whatever its framing.
func TestDribble(t *testing.T) {
	for _, head := range []string{"Content-Length: 3\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"} {
		next := make(chan struct{})
		w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\n"+head)
			for _, s := range []string{"a", "b", "c"} {
				<-next
				if strings.HasPrefix(head, "T") {
					s = "1\r\n" + s + "\r\n"
				}
				io.WriteString(c, s)
			}
			if strings.HasPrefix(head, "T") {
				io.WriteString(c, "0\r\n\r\n")
			}
		}))
		resp, err := w.client().Do(w.request("GET", "/test/drip", nil)) // the head is out before the body
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []byte("abc") {
			next <- struct{}{}
			var b [1]byte
			if _, err := io.ReadFull(resp.Body, b[:]); err != nil || b[0] != want {
				t.Fatalf("%q %v, want %q", b, err, want)
			}
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		resp.Body.Close()
	}
}

// A refusal that comes before the upload is through reaches the browser.
func TestEarlyRefusal(t *testing.T) {
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
		c.(*net.TCPConn).CloseWrite()
		time.Sleep(50 * time.Millisecond)
	}))
	endless, stop := io.Pipe()
	go func() {
		for {
			if _, err := stop.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}()
	defer endless.Close()
	resp, body := w.do(w.client(), w.request("POST", "/up", endless))
	if resp.StatusCode != 413 || body != "big" || !resp.Close {
		t.Errorf("%d %q close %v", resp.StatusCode, body, resp.Close)
	}
}

// An answer may flow while its request still does.
func TestEchoBothWays(t *testing.T) {
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		b := make([]byte, 100)
		for {
			n, err := req.Body.Read(b)
			if n > 0 {
				fmt.Fprintf(c, "%x\r\n%s\r\n", n, b[:n])
			}
			if err != nil {
				io.WriteString(c, "0\r\n\r\n")
				return
			}
		}
	}))
	c := w.raw(site)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nTransfer-Encoding: chunked\r\n\r\n", site, cookie)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"one", "two", "three"} {
		fmt.Fprintf(c, "%x\r\n%s\r\n", len(s), s)
		b := make([]byte, len(s))
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != s {
			t.Fatalf("%q %v", b, err)
		}
	}
	io.WriteString(c, "0\r\n\r\n")
	if b, err := io.ReadAll(resp.Body); err != nil || len(b) > 0 {
		t.Errorf("%q %v", b, err)
	}
}

// An answer that breaks must not look complete.
func TestPortalBreaksOff(t *testing.T) {
	for _, head := range []string{"Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz"} {
		w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err == nil {
				io.WriteString(c, "HTTP/1.1 200 OK\r\n"+head)
			}
		}))
		resp, err := w.client().Do(w.request("GET", "/", nil))
		if err != nil {
			continue // broken before the head was read: no less a break
		}
		// What is known to be broken before a byte went out is a 502.
		if b, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode != 502 {
			t.Errorf("%q: a clean end after %q", head, b)
		}
		resp.Body.Close()
	}
}

// A stream that the portal has closed while it was idle costs a GET nothing.
func TestStaleStreamIsRetried(t *testing.T) {
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		for i := range 2 {
			if _, err := http.ReadRequest(r); err != nil || i == 1 {
				return // eats the second request and closes
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}))
	c := w.client()
	for range 4 {
		if resp, body := w.do(c, w.request("GET", "/", nil)); resp.StatusCode != 200 || body != "ok" {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
	}
	if _, body := w.do(c, w.request("POST", "/", strings.NewReader("x"))); !strings.Contains(body, "portal_reset") {
		t.Errorf("a POST that was eaten was sent again: %q", body)
	}
}

// A tunnel, or a link to the relay that has it, which is lost before an answer
// came costs what only reads nothing; once, and nothing else is sent again.
func TestWhatOnlyReadsOutlivesItsTunnel(t *testing.T) {
	for _, code := range []fault.Code{fault.ConnectionLost, fault.RelayLost} {
		var breaks, broken atomic.Int32 // streams that are to break, and that did
		w := newWorld(t, answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"), func(o *edge.Options) {
			dial := o.Dial
			o.Dial = func(ctx context.Context, d id.Device, h edge.Header) (edge.Stream, error) {
				s, err := dial(ctx, d, h)
				if err == nil && breaks.Add(-1) >= 0 {
					broken.Add(1)
					s = lostStream{s, fault.New(code, "It broke.")}
				}
				return s, err
			}
		})
		for _, c := range []struct {
			method         string
			breaks, status int
		}{{"GET", 1, 200}, {"HEAD", 1, 200}, {"OPTIONS", 1, 200}, {"GET", 2, fault.Status(code)}, {"DELETE", 1, fault.Status(code)}, {"POST", 1, fault.Status(code)}} {
			breaks.Store(int32(c.breaks))
			broken.Store(0)
			var body io.Reader
			if c.method == "POST" {
				body = strings.NewReader("x")
			}
			resp, answer := w.do(w.client(), w.request(c.method, "/", body))
			if resp.StatusCode != c.status || c.status != 200 && !strings.Contains(answer, string(code)) || int(broken.Load()) != c.breaks {
				t.Errorf("%s, %s, %d times: %d %q, and %d streams broke", code, c.method, c.breaks, resp.StatusCode, answer, broken.Load())
			}
		}
	}
}

// lostStream takes what is sent, and breaks instead of an answer.
type lostStream struct {
	edge.Stream
	err error
}

func (s lostStream) Read([]byte) (int, error) { return 0, s.err }

// Who lets the browser wait is told apart from who answers nonsense.
func TestPortalFaults(t *testing.T) {
	f := func(portal string, status int, code string) {
		t.Helper()
		w := newWorld(t, portal, func(o *edge.Options) { o.Limits.Answer = 200 * time.Millisecond })
		resp, body := w.do(w.client(), w.request("GET", "/", nil))
		if resp.StatusCode != status || !strings.Contains(body, `"code":"`+code+`"`) {
			t.Errorf("%d %s, want %d %s", resp.StatusCode, body, status, code)
		}
	}
	f("127.0.0.1:1", 502, "portal_refused")
	f(rawPortal(t, func(c net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }), 504, "portal_timeout")
	f(rawPortal(t, func(c net.Conn, r *bufio.Reader) { _, _ = http.ReadRequest(r) }), 502, "portal_reset")
	f(answers(t, "SSH-2.0-dropbear\r\n"), 502, "portal_bad_response")
	f(answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), 502, "portal_bad_response")
	f(answers(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 502, "portal_bad_response")
	f(answers(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 70000)+"\r\n\r\n"), 502, "portal_bad_response")
	f(answers(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), 502, "portal_bad_response")
	f(answers(t, "HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n"), 502, "portal_bad_response")
}
