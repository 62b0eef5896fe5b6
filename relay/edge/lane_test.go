package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"trunkline/internal/evtls"
	"trunkline/relay/edge"
)

// asks sends a request over c and reads the answer.
func asks(t *testing.T, c net.Conn, r *bufio.Reader, request string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return hears(t, r)
}

func hears(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func visitor(line, more string) string {
	return line + " HTTP/1.1\r\nHost: " + site + "\r\nX-Forwarded-Proto: https\r\nCookie: " + cookie + "\r\n" + more + "\r\n"
}

// tells is a portal that answers with what it was asked and sent, as long as
// ?size says, after ?wait.
func tells(t *testing.T) string {
	return rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			sent, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			q := req.URL.Query()
			if d, err := time.ParseDuration(q.Get("wait")); err == nil {
				time.Sleep(d)
			}
			body := req.Method + " " + req.URL.Path + " " + string(sent)
			if n, err := strconv.Atoi(q.Get("size")); err == nil {
				body = filler(req.URL.Path, n)
			}
			head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
			if q.Has("chunked") {
				head, body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
			}
			if q.Has("slowly") { // in two pieces, cut anywhere
				_, _ = io.WriteString(c, head[:9])
				time.Sleep(5 * time.Millisecond)
				head = head[9:]
			}
			if _, err := io.WriteString(c, head+body); err != nil || q.Has("leave") {
				return
			}
		}
	})
}

func filler(seed string, n int) string { return strings.Repeat(seed+".", n/(len(seed)+1)+1)[:n] }

// journey is a request, and what tells says to it.
type journey struct{ name, request, body string }

// journeys are those that are not simple.
var journeys = []journey{
	{"a body", visitor("POST /p", "Content-Length: 5\r\n") + "hello", "POST /p hello"},
	{"a long body", visitor("PUT /l", "Content-Length: 100000\r\n") + strings.Repeat("y", 100_000), "PUT /l " + strings.Repeat("y", 100_000)},
	{"no method of ours", visitor("DELETE /d", ""), "DELETE /d "},
	{"a long answer", visitor("GET /long?size=300000", ""), filler("/long", 300_000)},
	{"an answer just too long", visitor("GET /edge?size=8000", ""), filler("/edge", 8000)},
	{"an answer in chunks", visitor("GET /c?chunked", ""), "GET /c "},
	{"an answer in pieces", visitor("GET /s?slowly", ""), "GET /s "},
	{"a late answer", visitor("GET /w?wait=120ms", ""), "GET /w "}, // the watch has begun
	{"an empty answer", visitor("GET /e?size=0", ""), ""},
	{"a long head", visitor("GET /h", "X-Long: "+strings.Repeat("h", 6000)+"\r\n"), "GET /h "},
	{"a portal that leaves", visitor("GET /gone?leave", ""), "GET /gone "},
}

// Simple requests are served by loops, on plain connections and on those with
// TLS; after any other kind they are again.
func TestLane(t *testing.T) {
	w := newWorld(t, tells(t), loopback)
	plain := func() net.Conn {
		c, err := net.Dial("tcp", w.plain)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		return c
	}
	for name, dial := range map[string]func() net.Conn{"plain": plain, "TLS": func() net.Conn { return w.raw(site) }} {
		t.Run(name, func(t *testing.T) {
			c := dial()
			r := bufio.NewReader(c)
			simple := func(after string) {
				t.Helper()
				before := w.driven()
				eventually(t, "loops serve after "+after, func() bool { // not what needs a stream, or is late
					if resp, body := asks(t, c, r, visitor("GET /again", "")); resp.StatusCode != 200 || body != "GET /again " {
						t.Fatalf("after %s: %d %q", after, resp.StatusCode, body)
					}
					return w.driven() >= before+2
				})
			}
			simple("nothing")
			for _, other := range journeys {
				if resp, body := asks(t, c, r, other.request); resp.StatusCode != 200 || body != other.body {
					t.Fatalf("%s: %d %.100q", other.name, resp.StatusCode, body)
				}
				simple(other.name)
			}
		})
	}
}

// A request whose first byte the watch over the one before has read is served by
// loops as others are.
func TestLaneAfterAnEarlyRequest(t *testing.T) {
	w := newWorld(t, tells(t), loopback)
	for name, first := range map[string]string{"its goroutine": visitor("GET /w?wait=300ms", ""), "fasthttp": visitor("DELETE /w?wait=300ms", "")} {
		for _, cut := range []int{1, 60, 1 << 10} {
			c := w.raw(site)
			r := bufio.NewReader(c)
			asks(t, c, r, visitor("GET /first", ""))
			if _, err := io.WriteString(c, first); err != nil {
				t.Fatal(err)
			}
			// The watch begins after 50 ms, which nobody outside sees. Where it is later
			// the byte is read as ever, which must come to the same.
			time.Sleep(150 * time.Millisecond)
			early := visitor("GET /early", "")
			cut = min(cut, len(early))
			if _, err := io.WriteString(c, early[:cut]); err != nil {
				t.Fatal(err)
			}
			if resp, body := hears(t, r); resp.StatusCode != 200 || !strings.HasSuffix(body, " /w ") {
				t.Fatalf("%s: %d %q", name, resp.StatusCode, body)
			}
			if _, err := io.WriteString(c, early[cut:]); err != nil {
				t.Fatal(err)
			}
			if resp, body := hears(t, r); resp.StatusCode != 200 || body != "GET /early " {
				t.Fatalf("%s, the early one: %d %q", name, resp.StatusCode, body)
			}
			before := w.driven()
			eventually(t, fmt.Sprintf("loops serve again after %s, cut at %d", name, cut), func() bool {
				if resp, body := asks(t, c, r, visitor("GET /again", "")); resp.StatusCode != 200 || body != "GET /again " {
					t.Fatalf("%d %q", resp.StatusCode, body)
				}
				return w.driven() >= before+2
			})
		}
	}
}

// Where there are no loops, as on other systems, goroutines serve the same.
func TestWithoutLoops(t *testing.T) {
	w := newWorld(t, tells(t), loopback, func(o *edge.Options) { o.Poller = new(evtls.Poller) })
	plain, err := net.Dial("tcp", w.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	_ = plain.SetDeadline(time.Now().Add(time.Minute))
	for name, c := range map[string]net.Conn{"plain": plain, "TLS": w.raw(site)} {
		r := bufio.NewReader(c)
		for _, j := range append(journeys, journey{"a simple one", visitor("GET /again", ""), "GET /again "}) {
			if resp, body := asks(t, c, r, j.request); resp.StatusCode != 200 || body != j.body {
				t.Fatalf("%s, %s: %d %.100q", name, j.name, resp.StatusCode, body)
			}
		}
	}
	if n := w.driven(); n != 0 {
		t.Errorf("loops that there are not served %v requests", n)
	}
}

// What fasthttp may have read beyond a request stays with it.
func TestLaneKeepsTheOrder(t *testing.T) {
	w := newWorld(t, tells(t), loopback)
	c := w.raw(site)
	r := bufio.NewReader(c)
	for round := range 5 {
		var all string
		for i := range 6 {
			all += visitor(fmt.Sprintf("GET /%d-%d?wait=%dms", round, i, i%3), "")
			if i == 2 {
				all += visitor(fmt.Sprintf("POST /%d-post", round), "Content-Length: 3\r\n") + "abc"
			}
		}
		// Cut anywhere, also within a line.
		for _, piece := range []string{all[:7], all[7 : len(all)/2], all[len(all)/2:]} {
			_, _ = io.WriteString(c, piece)
		}
		for i := range 6 {
			if _, body := hears(t, r); body != fmt.Sprintf("GET /%d-%d ", round, i) {
				t.Fatalf("round %d, answer %d: %q", round, i, body)
			}
			if i == 2 {
				if _, body := hears(t, r); body != fmt.Sprintf("POST /%d-post abc", round) {
					t.Fatalf("round %d, the POST: %q", round, body)
				}
			}
		}
	}
}

// A browser that does not read holds up nobody, and gets every byte when it does.
func TestLaneToASlowBrowser(t *testing.T) {
	w := newWorld(t, tells(t), loopback)
	for name, dial := range map[string]func() net.Conn{
		"plain": func() net.Conn { c, _ := net.Dial("tcp", w.plain); return c },
		"TLS":   func() net.Conn { return w.raw(site) },
	} {
		t.Run(name, func(t *testing.T) {
			c := dial()
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			socket := c
			if s, ok := c.(interface{ NetConn() net.Conn }); ok {
				socket = s.NetConn()
			}
			_ = socket.(*net.TCPConn).SetReadBuffer(4 << 10)
			const size = 6000
			asked := 0
			for stuck := false; !stuck && asked < 5000; asked++ {
				before := w.out.Load()
				_, _ = io.WriteString(c, visitor(fmt.Sprintf("GET /%d?size=%d", asked, size), ""))
				stuck = true
				for end := time.Now().Add(time.Second); stuck && time.Now().Before(end); time.Sleep(time.Millisecond) {
					stuck = w.out.Load() == before
				}
			}
			if asked == 5000 {
				t.Fatal("30 MB found room in the sockets")
			}
			other := w.raw(site) // the same loops serve it
			if _, body := asks(t, other, bufio.NewReader(other), visitor("GET /other", "")); body != "GET /other " {
				t.Fatal(body)
			}
			_ = socket.(*net.TCPConn).SetReadBuffer(1 << 20)
			r := bufio.NewReader(c)
			for i := range asked {
				if _, body := hears(t, r); body != filler(fmt.Sprintf("/%d", i), size) {
					t.Fatalf("answer %d of %d: %.50q", i, asked, body)
				}
			}
			if _, body := asks(t, c, r, visitor("GET /after", "")); body != "GET /after " {
				t.Fatal(body)
			}
		})
	}
}
