package edge_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/relay/edge"
)

func echo(rw http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(rw, "%s %s %s", r.Method, r.RequestURI, b)
}

// Only the console's page can put a browser into a visit, once.
func TestHandover(t *testing.T) {
	w := newWorld(t, httpPortal(t, echo))
	c := w.client()
	f := func(handover, mime string, headers map[string]string, status int, code string) {
		t.Helper()
		r := w.request("POST", "/.trunkline/visit", strings.NewReader(url.Values{"handover": {handover}}.Encode()))
		r.Header.Del("Cookie")
		r.Header.Set("Content-Type", mime)
		for k, v := range headers {
			r.Header.Set(k, v)
		}
		resp, body := w.do(c, r)
		if resp.StatusCode != status || !strings.Contains(body, code) {
			t.Errorf("%q %v: %d %s", handover, headers, resp.StatusCode, body)
		}
		set := resp.Header.Get("Set-Cookie")
		if status == 303 && (set != cookie+"; Path=/; Secure; HttpOnly; SameSite=Lax" || resp.Header.Get("Location") != "/") {
			t.Errorf("set %q, location %q", set, resp.Header.Get("Location"))
		} else if status != 303 && set != "" {
			t.Errorf("a refused handover set %q", set)
		}
	}
	const form = "application/x-www-form-urlencoded"
	f("fresh", form, map[string]string{"Origin": console, "Sec-Fetch-Site": "cross-site"}, 303, "")
	f("fresh", form+"; charset=utf-8", nil, 303, "") // a program: it has no cookies to be misused
	f("used", form, map[string]string{"Origin": console}, 403, "handover_used")
	f("forged", form, map[string]string{"Origin": console}, 403, "handover_invalid")
	f("fresh", "text/plain", map[string]string{"Origin": console}, 403, "handover_invalid")
	f(strings.Repeat("x", 5000), form, map[string]string{"Origin": console}, 403, "handover_invalid")
	f("fresh", form, map[string]string{"Origin": "https://evil.test"}, 403, "cross_site_request")
	f("fresh", form, map[string]string{"Origin": "null"}, 403, "cross_site_request")
	f("fresh", form, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "cross_site_request")
}

// Nothing under our own path reaches the portal, and nothing else is ours.
func TestOwnPaths(t *testing.T) {
	w := newWorld(t, httpPortal(t, echo))
	c := w.client()
	f := func(method, path string, status int) {
		t.Helper()
		if resp, body := w.do(c, w.request(method, path, nil)); resp.StatusCode != status {
			t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, body)
		}
	}
	f("GET", "/.trunkline", 404)
	f("GET", "/.trunkline/x", 404)
	f("GET", "/.trunkline?x", 404)
	f("GET", "/.trunkline/visit", 401)
	f("PUT", "/.trunkline/visit", 404)
	f("GET", "/.trunkline/end", 404)
	f("GET", "/.trunklines", 200)
	f("GET", "/x/.trunkline/visit", 200)
	if n := w.dials.Load(); n != 1 {
		t.Errorf("%d streams", n)
	}
}

// A visitor can end the visit; nobody else can on their behalf.
func TestEndOfVisit(t *testing.T) {
	w := newWorld(t, httpPortal(t, echo))
	c := w.client()
	r := w.request("POST", "/.trunkline/end", nil)
	r.Header.Set("Origin", "https://pbx-two."+zone)
	if resp, _ := w.do(c, r); resp.StatusCode != 403 || len(w.endedBy) != 0 {
		t.Errorf("from another site: %d", resp.StatusCode)
	}
	r.Header.Set("Origin", "https://"+site)
	resp, _ := w.do(c, r)
	if resp.StatusCode != 303 || !strings.Contains(resp.Header.Get("Set-Cookie"), "Max-Age=0") || len(w.endedBy) != 1 {
		t.Errorf("%d %q", resp.StatusCode, resp.Header.Get("Set-Cookie"))
	}
}

// The site is found whatever the spelling of its name, and nothing else is.
func TestHosts(t *testing.T) {
	w := newWorld(t, httpPortal(t, echo))
	f := func(sni, head string, status int, code string) {
		t.Helper()
		c := w.raw(sni)
		fmt.Fprintf(c, "%s\r\nCookie: %s\r\n\r\n", head, cookie)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		if resp.StatusCode != status || !strings.Contains(string(b), code) {
			t.Errorf("%q: %d %s", head, resp.StatusCode, b)
		}
	}
	f(site, "GET / HTTP/1.1\r\nHost: "+site, 200, "GET /")
	f(site, "GET / HTTP/1.1\r\nhost:PBX-One.Sites.Test:8443", 200, "GET /")
	f(site, "GET / HTTP/1.1\r\nHost: "+site+".:443", 200, "GET /")
	f("", "GET / HTTP/1.1\r\nHost: "+site, 200, "GET /")
	f(site, "GET https://"+site+"/x?y HTTP/1.1\r\nHost: "+site, 200, "GET /x?y")
	f(site, "GET https://"+site+"?y HTTP/1.1\r\nHost: "+site, 200, "GET /?y")
	f(site, "OPTIONS * HTTP/1.1\r\nHost: "+site, 200, "")
	f(site, "GET https://other.test/ HTTP/1.1\r\nHost: "+site, 400, "invalid_request")
	f(site, "GET / HTTP/1.1\r\nHost: "+site+"\r\nHost: "+site, 400, "invalid_request")
	f(site, "GET / HTTP/1.1\r\nX: y", 400, "invalid_request")
	f(site, "GET / HTTP/1.0\r\nX: y", 400, "invalid_request")
	f(site, "GET / HTTP/1.1\r\nHost: "+site+":99999", 400, "invalid_request")
	f(site, "GET / HTTP/1.1\r\nHost: user@"+site, 400, "invalid_request")
	f("", "GET / HTTP/1.1\r\nHost: example.com", 421, "unknown_host")
	f("", "GET / HTTP/1.1\r\nHost: "+zone, 421, "unknown_host")
	f("", "GET / HTTP/1.1\r\nHost: a.pbx-one."+zone, 421, "unknown_host")
	f("", "GET / HTTP/1.1\r\nHost: [::1]", 400, "invalid_request")
	f("", "GET / HTTP/1.1\r\nHost: pbx-none."+zone, 404, "unknown_site")
	f(site, "GET / HTTP/1.1\r\nHost: pbx-two."+zone, 421, "host_mismatch")
	f(site, "TRACE / HTTP/1.1\r\nHost: "+site, 400, "invalid_request")
	f(site, "CONNECT "+site+":443 HTTP/1.1\r\nHost: "+site, 400, "invalid_request")
}

// A person gets a page, a program a problem document, with the same code and
// a reference that the log has; nothing of the request is in the log.
func TestErrorPages(t *testing.T) {
	w := newWorld(t, httpPortal(t, echo))
	w.route.Store(&edge.Route{Device: "dev_0123456789abcdef", Since: time.Now().Add(-12 * time.Minute), Down: fault.PeerSilent})
	r := w.request("GET", "/secret-path?secret-query", nil)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	resp, page := w.do(w.client(), r)
	for _, want := range []string{"<!doctype html>", "The PBX is not connected", "(12 minutes ago): it stopped answering.", console, "not_connected"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	h := resp.Header
	if resp.StatusCode != 503 || h.Get("Retry-After") != "10" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%d %v", resp.StatusCode, h)
	}
	style, _, _ := strings.Cut(strings.SplitN(page, "<style>", 2)[1], "</style>")
	sum := sha256.Sum256([]byte(style))
	if !strings.Contains(h.Get("Content-Security-Policy"), base64.StdEncoding.EncodeToString(sum[:])) {
		t.Error("the page's own policy forbids its style")
	}
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Accept", "text/html")
	resp, doc := w.do(w.client(), r)
	if resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(doc, `"code":"not_connected"`) {
		t.Errorf("%v %s", resp.Header, doc)
	}
	logs := w.logs.FilterMessage("request").All()
	if len(logs) != 2 {
		t.Fatalf("%d events for two requests", len(logs))
	}
	for i, e := range logs {
		m := e.ContextMap()
		if m["code"] != "not_connected" || m["status"] != int64(503) || m["visit"] != "vis_0123456789abcdef" || m["method"] != "GET" {
			t.Errorf("%v", m)
		}
		if !strings.Contains([]string{page, doc}[i], m["ref"].(string)) {
			t.Error("the reference is not the log's")
		}
		if s := fmt.Sprint(m); strings.Contains(s, "secret") || strings.Contains(s, "good") {
			t.Errorf("the log tells too much: %s", s)
		}
	}
}

// Whoever has no visit gets no stream.
func TestNoVisitNoStream(t *testing.T) {
	w := newWorld(t, httpPortal(t, echo))
	for _, c := range []string{"", "__Host-trunkline-visit=bad", "x__Host-trunkline-visit=good", "a=__Host-trunkline-visit=good"} {
		r := w.request("POST", "/", strings.NewReader(strings.Repeat("x", 1<<20)))
		r.Header.Set("Cookie", c)
		if resp, body := w.do(w.client(), r); resp.StatusCode != 401 || !strings.Contains(body, "visit_needed") {
			t.Errorf("%q: %d %s", c, resp.StatusCode, body)
		}
	}
	if n := w.dials.Load(); n != 0 {
		t.Errorf("%d streams", n)
	}
}

// Heads that do not fit, and heads that can be read in two ways.
func TestHostileRequests(t *testing.T) {
	var smuggled atomic.Bool
	w := newWorld(t, httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/smuggled" || strings.Contains(string(b), "smuggled") {
			smuggled.Store(true)
		}
	}))
	head := "POST / HTTP/1.1\r\nHost: " + site + "\r\nCookie: " + cookie + "\r\n"
	const tail = "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
	f := func(request string, status int, code string) {
		t.Helper()
		resp, body := w.send(request)
		if resp.StatusCode != status || !strings.Contains(body, code) || !resp.Close {
			t.Errorf("%.120q: %d %s close %v", request, resp.StatusCode, body, resp.Close)
		}
	}
	f(head+"X: "+strings.Repeat("x", 17000)+"\r\n\r\n", 431, "headers_too_large")
	for _, framing := range []string{
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		"Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n",
		"Content-Length: +5\r\n", "Content-Length: -1\r\n", "Content-Length: 0x5\r\n", "Content-Length: 5 5\r\n", "Content-Length:\r\n",
		"Content-Length: 99999999999999999999\r\n", "Content-Length : 5\r\n", " Content-Length: 5\r\n",
		"Transfer-Encoding: identity\r\n", "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding:\x0bchunked\r\n", "Transfer-Encoding\t: chunked\r\n",
		"X: y\r\n Transfer-Encoding: chunked\r\n", "X: y\nTransfer-Encoding: chunked\r\n", "X: y\rTransfer-Encoding: chunked\r\n",
		"X: a\x00b\r\n", "X y: z\r\n", ": z\r\n", "no colon\r\n", "\x7f: z\r\n",
	} {
		f(head+framing+"\r\n"+tail, 400, "invalid_request")
	}
	for _, body := range []string{"5\nhello\r\n" + tail, "5;a\nb\r\nhello\r\n" + tail, "5\r\nhelloXX" + tail, "-5\r\nhello\r\n" + tail, "0x5\r\nhello\r\n" + tail, "fffffffffffffffff\r\n" + tail, "\r\n" + tail} {
		f(head+"Transfer-Encoding: chunked\r\n\r\n"+body, 400, "invalid_request")
	}
	for _, line := range []string{"GET  / HTTP/1.1", "GET / HTTP/1.1 x", "GET /\x01 HTTP/1.1", "GET / HTTP/3.0\r\nX: y", "\x16\x03\x01\x02", "G@T / HTTP/1.1", "GET x HTTP/1.1", "GET /#frag HTTP/1.1"} {
		resp, body := w.send(line + "\r\nHost: " + site + "\r\nCookie: " + cookie + "\r\n\r\n")
		if resp.StatusCode != 400 && !(resp.StatusCode == 200 && strings.Contains(line, "3.0")) {
			t.Errorf("%q: %d %s", line, resp.StatusCode, body)
		}
	}
	if smuggled.Load() {
		t.Error("a smuggled request reached the portal")
	}
}

// Half a head and then silence is ended by the header limit.
func TestSlowHead(t *testing.T) {
	w := newWorld(t, httpPortal(t, echo), func(o *edge.Options) { o.Limits.Header = 100 * time.Millisecond })
	resp, _ := w.send("GET / HTTP/1.1\r\nHost: " + site)
	if resp.StatusCode != 408 || !resp.Close {
		t.Errorf("%d", resp.StatusCode)
	}
}

// Behind a load balancer the address and the scheme are what it says, and
// only if it is one of ours.
func TestBehindLoadBalancer(t *testing.T) {
	seen := make(chan netip.Addr, 1)
	w := newWorld(t, httpPortal(t, echo), func(o *edge.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		redeem := o.Redeem
		o.Redeem = func(ctx ctx, h string, s siteID, a netip.Addr) (edge.Guest, error) {
			seen <- a
			return redeem(ctx, h, s, a)
		}
	})
	f := func(method, path, body string, xff, proto string) *http.Response {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), method, "http://"+w.plain+path, strings.NewReader(body))
		r.Host = site
		r.Header.Set("Cookie", cookie)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Forwarded-For", xff)
		r.Header.Set("X-Forwarded-Proto", proto)
		tr := &http.Transport{DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: tr, CheckRedirect: w.client().CheckRedirect}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if resp := f("POST", "/.trunkline/visit", "handover=fresh", "6.6.6.6, 198.51.100.7", "https"); resp.StatusCode != 303 {
		t.Errorf("%d", resp.StatusCode)
	}
	if a := <-seen; a != netip.MustParseAddr("198.51.100.7") {
		t.Errorf("the browser's address: %s", a)
	}
	if resp := f("GET", "/", "", "198.51.100.7", "http"); resp.StatusCode != 421 {
		t.Errorf("plain HTTP: %d", resp.StatusCode)
	}
	stranger := newWorld(t, httpPortal(t, echo))
	if resp, err := http.Get("http://" + stranger.plain); err == nil {
		resp.Body.Close()
		t.Errorf("a stranger was served: %d", resp.StatusCode)
	}
}
