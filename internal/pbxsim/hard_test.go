package pbxsim_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"trunkline/internal/pbxsim"
)

func TestSlowAndDripping(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	from := time.Now()
	_, body := v.get("/test/slow?ms=120")
	has(t, "slow", body, "slow")
	if d := time.Since(from); d < 120*time.Millisecond {
		t.Errorf("slow answered after %v", d)
	}
	res, body := v.get("/test/drip?n=5&ms=2&length=1")
	if res.ContentLength != 55 || len(body) != 55 {
		t.Errorf("drip: %d bytes of %d", len(body), res.ContentLength)
	}
	res, body = v.get("/test/drip?n=5&ms=2&length=0")
	if res.ContentLength != -1 || !strings.HasSuffix(body, "drip 00004\n") {
		t.Errorf("drip: %q of %d", body, res.ContentLength)
	}
	for _, path := range []string{"/test/slow?ms=-1", "/test/slow?ms=9999999", "/test/drip?n=x", "/test/drip?ms=1000000", "/test/chunked?size=0"} {
		res, _ = v.get(path)
		status(t, res, http.StatusBadRequest)
	}
}

func TestHeadersShowsTheRequestAsItArrived(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{Hosts: []string{"pbx.lan"}}))
	_, body := v.do(v.request("PUT", "/test/headers?a=%20b", "some body", "Host", "pbx.lan", "X-Forwarded-For", "192.0.2.1"))
	var got pbxsim.Received
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Method != "PUT" || got.Target != "/test/headers?a=%20b" || got.Host != "pbx.lan" || got.ContentLength != 9 ||
		got.BodyBytes != 9 || got.BodySHA256 != sum("some body") || got.TLS || !strings.HasPrefix(got.Remote, "127.0.0.1:") ||
		!slices.Equal(got.Headers["X-Forwarded-For"], []string{"192.0.2.1"}) {
		t.Errorf("received %+v", got)
	}
}

func TestBodies(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	for path, want := range map[string]struct{ length, bytes int64 }{
		"/test/chunked?n=10&size=1000":  {-1, 10000},
		"/test/chunked?n=2&size=1":      {-1, 2},
		"/test/length?n=10&size=1000":   {10000, 10000},
		"/test/length?n=0":              {0, 0},
		"/test/length?n=2&size=1048576": {2 * 1048573, 2 * 1048573},
		"/test/1kb":                     {1024, 1024},
		"/test/64kb":                    {65536, 65536},
	} {
		res, body := v.get(path)
		if res.ContentLength != want.length || int64(len(body)) != want.bytes {
			t.Errorf("%s: %d bytes of %d", path, len(body), res.ContentLength)
		}
	}
	res, body := v.get("/test/trailers")
	if got := res.Trailer.Get("X-Body-Sha256"); got != sum(body) || res.ContentLength != -1 {
		t.Errorf("trailer %q of %q", got, body)
	}
	res, body = v.get("/test/http10")
	if res.Proto != "HTTP/1.0" || res.ContentLength != -1 || !strings.Contains(body, "ends with the connection") {
		t.Errorf("%s: %q of %d", res.Proto, body, res.ContentLength)
	}
	if res, _ = v.get("/test/close"); !res.Close {
		t.Error("/test/close keeps the connection")
	}
}

func TestStatuses(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	v.CheckRedirect = noRedirects
	for path, want := range map[string]int{
		"/test/status/200": 200, "/test/status/204": 204, "/test/status/304": 304, "/test/status/418": 418, "/test/status/503": 503,
		"/test/status/99": 400, "/test/status/600": 400, "/test/status/x": 400, "/test/204": 204, "/test/304": 304,
	} {
		res, body := v.get(path)
		status(t, res, want)
		if (want == 204 || want == 304) && body != "" {
			t.Errorf("%s: body %q", path, body)
		}
	}
	var hints []int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { hints = append(hints, code); return nil },
	})
	res, _ := v.do(v.request("GET", "/test/early-hints", "").WithContext(ctx))
	status(t, res, 200)
	if !slices.Equal(hints, []int{103}) {
		t.Errorf("early hints %v", hints)
	}
}

func TestRedirects(t *testing.T) {
	p := start(t, pbxsim.Config{Hosts: []string{"192.168.7.7"}, AbsoluteHost: "pbx.lan"})
	v := visit(t, p)
	v.CheckRedirect = noRedirects
	host := strings.TrimPrefix(p.URL(), "http://")
	for to, want := range map[string]string{
		"absolute":  "http://pbx.lan/test/headers?via=absolute#part",
		"relative":  "headers?via=relative",
		"path":      "/test/headers?via=path",
		"scheme":    "//" + host + "/test/headers",
		"lan":       "http://pbx.lan/test/headers",
		"https":     "https://" + host + "/test/headers",
		"http":      "http://" + host + "/test/headers",
		"upper":     "HTTP://" + strings.ToUpper(host) + "/test/headers",
		"root":      "http://" + host,
		"elsewhere": "https://example.com/outside?next=http://" + host + "/",
		"login":     "http://pbx.lan/login",
	} {
		res, _ := v.get("/test/redirect?code=307&to=" + to)
		status(t, res, 307)
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("to=%s: %q, want %q", to, got, want)
		}
	}
	res, _ := v.get("/test/redirect?to=nowhere")
	status(t, res, 400)
}

func TestCookies(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	res, body := v.get("/test/cookies", "Cookie", "a=1; b=2")
	all := strings.Join(res.Header["Set-Cookie"], "\n")
	has(t, "Set-Cookie", all, "Domain=127.0.0.1; Path=/", "SameSite=Strict", "Secure; SameSite=None; Partitioned", "__Host-own=1", "Max-Age=0")
	has(t, "received", body, "a=1; b=2")
}

func TestGarbage(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	for _, kind := range []string{"", "binary", "status", "header", "chunk", "short", "lengths"} {
		res, err := v.Get(v.base + "/test/garbage?kind=" + kind)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if err == nil {
			t.Errorf("kind %q passed for HTTP", kind)
		}
	}
	res, _ := v.get("/test/garbage?kind=huge") // HTTP, but no proxy should swallow it
	if n := len(res.Header["X-Filler"]); n != 1024 {
		t.Errorf("huge has %d filler headers", n)
	}
	res, _ = v.get("/test/garbage?kind=none")
	status(t, res, 400)
}

func TestReset(t *testing.T) {
	for _, overTLS := range []bool{false, true} {
		p := start(t, pbxsim.Config{TLS: overTLS})
		for at, want := range map[string]string{"start": "", "headers": "Content-Type: text/pl", "body": "half of the "} {
			c, _ := dial(t, p, "")
			if overTLS {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			_, host, _ := strings.Cut(p.URL(), "://")
			if _, err := fmt.Fprintf(c, "GET /test/reset?at=%s HTTP/1.1\r\nHost: %s\r\n\r\n", at, host); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			if !errors.Is(err, syscall.ECONNRESET) || !strings.HasSuffix(string(got), want) || want == "" && len(got) > 0 {
				t.Errorf("at=%s, TLS %v: %q, then %v; want a reset", at, overTLS, got, err)
			}
		}
	}
}

func TestHangNeverAnswers(t *testing.T) {
	p := start(t, pbxsim.Config{})
	c, r := dial(t, p, "POST /test/hang HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\n\r\nok")
	if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if b, err := r.ReadByte(); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("answered %q, %v", b, err)
	}
}

func TestEarlyAnswersBeforeTheBody(t *testing.T) {
	p := start(t, pbxsim.Config{})
	_, r := dial(t, p, "POST /test/early HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1000000000\r\n\r\nthe first bytes")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 413 || !res.Close {
		t.Errorf("answer %d, close %v", res.StatusCode, res.Close)
	}
}

func TestBounds(t *testing.T) {
	p := start(t, pbxsim.Config{})
	_, r := dial(t, p, "GET / HTTP/1.1\r\nHost: HOST\r\nX-Filler: "+strings.Repeat("f", 80<<10)+"\r\n\r\n")
	if line, _ := r.ReadString('\n'); !strings.Contains(line, "431") {
		t.Errorf("80 KiB of headers: %q", line)
	}
	for _, raw := range []string{
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: HOST\r\nHost: other\r\n\r\n",
		"POST /test/headers HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"\x16\x03\x01\x00\xa5",
	} {
		c, r := dial(t, p, raw)
		_ = c.(*net.TCPConn).CloseWrite()
		if line, _ := r.ReadString('\n'); !strings.Contains(line, " 400 ") {
			t.Errorf("%.30q: answer %q", raw, line)
		}
	}
}

// A benchmark shares its cores with the portal: what it asks for has to be
// nearly free.
func TestSmallBodiesAllocateNothing(t *testing.T) {
	p, err := pbxsim.New(pbxsim.Config{Hosts: []string{"pbx"}}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, p)
	for _, path := range []string{"/test/1kb", "/test/64kb"} {
		r := httptest.NewRequest("GET", "http://pbx"+path, nil)
		w := &discard{h: make(http.Header)}
		if n := testing.AllocsPerRun(100, func() { p.Handler().ServeHTTP(w, r) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func BenchmarkSmallBodies(b *testing.B) {
	p, err := pbxsim.New(pbxsim.Config{}, zaptest.NewLogger(b))
	if err != nil {
		b.Fatal(err)
	}
	defer stopped(b, p)
	for _, path := range []string{"/test/1kb", "/test/64kb"} {
		b.Run(strings.TrimPrefix(path, "/test/"), func(b *testing.B) {
			r := httptest.NewRequest("GET", p.URL()+path, nil)
			w := &discard{h: make(http.Header)}
			for b.Loop() {
				p.Handler().ServeHTTP(w, r)
			}
		})
	}
}

// Requests behind one another on one connection get their own answers.
func TestPipelining(t *testing.T) {
	p := start(t, pbxsim.Config{})
	one := "GET /test/length?n=1&size=%d HTTP/1.1\r\nHost: HOST\r\n\r\n"
	_, r := dial(t, p, fmt.Sprintf(one+one, 5, 7))
	for _, want := range []int64{5, 7} {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := io.Copy(io.Discard, res.Body); n != want {
			t.Errorf("%d bytes, want %d", n, want)
		}
	}
}
