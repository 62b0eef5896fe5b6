package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"

	"trunkline/relay/edge"
)

// judge is a portal that decides by the head: it asks for the body or answers.
type judge struct {
	addr   string
	asked  atomic.Bool  // it has asked for a body
	bodies atomic.Int64 // bytes of bodies that came
}

func newJudge(t *testing.T) *judge {
	j := &judge{}
	j.addr = rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		defer func() {
			n, _ := io.Copy(io.Discard, r) // what is sent unasked
			j.bodies.Add(n)
		}()
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			want := "100-continue"
			if req.Method == "GET" {
				want = ""
			}
			if got := req.Header.Get("Expect"); got != want {
				_, _ = fmt.Fprintf(c, "HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(got), got)
				return
			}
			switch req.URL.Path {
			case "/401", "/413", "/417":
				_, _ = fmt.Fprintf(c, "HTTP/1.1 %s No\r\nContent-Length: 2\r\n\r\nno", req.URL.Path[1:])
				return
			case "/ask":
				j.asked.Store(true)
				_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
			}
			n, err := io.Copy(io.Discard, req.Body)
			j.bodies.Add(n)
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nX-Got: %d\r\n\r\n", n)
		}
	})
	return j
}

// A browser that waits is told to go on when the portal asks for the body, and
// not before; what the portal says instead takes the body's place.
func TestExpectIsThePortalsToMeet(t *testing.T) {
	for name, client := range map[string]func(*world) *http.Client{"h1": (*world).client, "h2": (*world).h2client} {
		t.Run(name, func(t *testing.T) {
			j := newJudge(t)
			w := newWorld(t, j.addr)
			c := client(w)
			for _, size := range []int{1, 8 << 10, 300 << 10} {
				for _, status := range []string{"401", "413", "417"} {
					body := &counted{Reader: strings.NewReader(strings.Repeat("x", size))}
					resp, got, told := w.waiting(c, "/"+status, body, int64(size), nil)
					if fmt.Sprint(resp.StatusCode) != status || got != "no" || told || body.read.Load() > 0 || j.bodies.Load() > 0 {
						t.Errorf("%d bytes: %s %q; told to go on: %v; read %d, portal got %d", size, resp.Status, got, told, body.read.Load(), j.bodies.Load())
					}
				}
				for _, length := range []int64{int64(size), -1} {
					j.asked.Store(false)
					resp, got, told := w.waiting(c, "/ask", &counted{Reader: strings.NewReader(strings.Repeat("x", size))}, length, func() {
						if !j.asked.Load() {
							t.Error("told to go on before the portal asked")
						}
					})
					if resp.StatusCode != 201 || resp.Header.Get("X-Got") != fmt.Sprint(size) || !told {
						t.Errorf("%d bytes: %s %q, portal got %s; told: %v", size, resp.Status, got, resp.Header.Get("X-Got"), told)
					}
					j.bodies.Store(0)
				}
			}
		})
	}
}

// waiting posts a body that it does not begin before it is told to.
func (w *world) waiting(c *http.Client, path string, body *counted, length int64, goOn func()) (resp *http.Response, got string, told bool) {
	w.t.Helper()
	ctx := httptrace.WithClientTrace(w.t.Context(), &httptrace.ClientTrace{Got100Continue: func() {
		told = true
		if goOn != nil {
			goOn()
		}
	}})
	r := w.request("POST", path, body).WithContext(ctx)
	r.ContentLength = length
	r.Header.Set("Expect", "100-continue")
	resp, got = w.do(c, r)
	return resp, got, told
}

type counted struct {
	io.Reader
	read atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func (w *world) post(head, body string) string {
	return "POST " + head + "\r\nHost: " + site + "\r\nCookie: " + cookie + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len("hello")) + body
}

// Who does not wait is served, and who waits for a portal that says nothing is
// told after a while; the connection serves the next request.
func TestExpectOfThoseWhoDoNotWait(t *testing.T) {
	j := newJudge(t)
	w := newWorld(t, j.addr)
	for _, path := range []string{"/ask", "/silent"} {
		for _, expect := range []string{"Expect: 100-continue", "expect: 100-Continue"} {
			c := w.raw(site)
			_, _ = io.WriteString(c, w.post(path+" HTTP/1.1\r\n"+expect, "hello")+"GET / HTTP/1.1\r\nHost: "+site+"\r\nCookie: "+cookie+"\r\n\r\n")
			br := bufio.NewReader(c)
			for _, want := range []string{"100 ", "201 5", "201 0"} {
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Fatalf("%s %s: %v", path, expect, err)
				}
				if got := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("X-Got")); got != want {
					t.Errorf("%s %s: %q, want %q", path, expect, got, want)
				}
			}
			_ = c.Close()
		}
	}
}

// Expectations that nobody knows are refused before a stream is opened
// (RFC 9110, section 10.1.1), and HTTP/1.0 has none.
func TestExpectOfSomethingElse(t *testing.T) {
	j := newJudge(t)
	w := newWorld(t, j.addr)
	for _, expect := range []string{"Expect: 200-ok", "expect: 100-continue, 200-ok", "Expect: 100-continue\r\nExpect: more", "EXPECT:"} {
		c := w.raw(site)
		_, _ = io.WriteString(c, w.post("/ask HTTP/1.1\r\n"+expect, ""))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(expect, err)
		}
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 417 || !resp.Close || !bytes.Contains(b, []byte(`"code":"expectation_failed"`)) {
			t.Errorf("%s: %s close %v %.200s", expect, resp.Status, resp.Close, b)
		}
		_ = c.Close()
	}
	r := w.request("POST", "/ask", strings.NewReader("hello"))
	r.Header.Set("Expect", "200-ok")
	if resp, _ := w.do(w.h2client(), r); resp.StatusCode != 417 {
		t.Errorf("over HTTP/2: %s", resp.Status)
	}
	if n := w.dials.Load(); n > 0 {
		t.Errorf("%d streams for them", n)
	}
	if resp, _ := w.send(w.post("/old HTTP/1.0\r\nExpect: 100-continue", "hello")); resp.StatusCode != 500 || resp.ContentLength > 0 {
		t.Errorf("HTTP/1.0: %s, and the portal saw %d bytes of an Expect", resp.Status, resp.ContentLength)
	}
	if resp, _ := w.send("GET / HTTP/1.1\r\nExpect: 100-continue\r\nHost: " + site + "\r\nCookie: " + cookie + "\r\n\r\n"); resp.StatusCode != 201 {
		t.Errorf("without a body: %s", resp.Status)
	}
}

// A visit can begin with a form whose sender waits.
func TestExpectAtTheDoor(t *testing.T) {
	w := newWorld(t, "127.0.0.1:1")
	const form = "handover=fresh"
	c := w.raw(site)
	_, _ = fmt.Fprintf(c, "POST /.trunkline/visit HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nExpect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n", site, console, len(form))
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 100 {
		t.Fatal(resp, err)
	}
	_, _ = io.WriteString(c, form)
	if resp, err = http.ReadResponse(br, nil); err != nil || resp.StatusCode != 303 {
		t.Fatal(resp, err)
	}
}

// Browsers that vanish between head and body leave no stream behind.
func TestExpectOfThoseWhoVanish(t *testing.T) {
	j := newJudge(t)
	w := newWorld(t, j.addr)
	for range 20 {
		c := w.raw(site)
		_, _ = io.WriteString(c, w.post("/ask HTTP/1.1\r\nExpect: 100-continue", "he"))
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 100 {
			t.Fatal(resp, err)
		}
		_ = c.Close()
	}
	eventually(t, "their streams are reset", func() bool { return w.resets.Load() == 20 })
	eventually(t, "none is active", func() bool { return w.gauge(t, "requests_active") == 0 })

	before := w.resets.Load()
	ctx, cancel := context.WithCancel(t.Context())
	r := w.request("POST", "/ask", torn{told: cancel}).WithContext(ctx)
	r.Header.Set("Expect", "100-continue")
	if resp, err := w.h2client().Do(r); !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(resp, err)
	}
	eventually(t, "the stream over HTTP/2 is reset too", func() bool { return w.resets.Load() > before })
}

// torn is a body that is asked for and does not come.
type torn struct{ told func() }

func (b torn) Read([]byte) (int, error) {
	b.told()
	return 0, io.ErrUnexpectedEOF
}

// One that stands still has the body's limit.
func TestExpectOfThoseWhoStandStill(t *testing.T) {
	j := newJudge(t)
	w := newWorld(t, j.addr, func(o *edge.Options) { o.Limits.Progress = 200e6 })
	c := w.raw(site)
	_, _ = io.WriteString(c, w.post("/ask HTTP/1.1\r\nExpect: 100-continue", ""))
	br := bufio.NewReader(c)
	for _, want := range []int{100, 408} {
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != want {
			t.Fatal(want, resp, err)
		}
	}
	eventually(t, "the stream is reset", func() bool { return w.resets.Load() == 1 })
}
