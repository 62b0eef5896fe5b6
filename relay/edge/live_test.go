package edge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"trunkline/relay/edge"
)

// A visit that ends says why to its WebSockets, and cuts its downloads.
func TestVisitEnds(t *testing.T) {
	w := newWorld(t, wsPortal(t))
	c, _, err := w.websocket("/ws")
	if err != nil {
		t.Fatal(err)
	}
	close(w.ended)
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("%v", err)
	}

	w = newWorld(t, endless(t, nil))
	resp, err := w.client().Do(w.request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	close(w.ended)
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the download ended cleanly")
	}
	eventually(t, "the stream is reset", func() bool { return w.resets.Load() > 0 })
}

// endless sends zeros until it is stopped, a little at a time if slow.
func endless(t *testing.T, gone chan<- error) string {
	return rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
		b := make([]byte, 64<<10)
		for {
			if _, err := c.Write(b); err != nil {
				if gone != nil {
					gone <- err
				}
				return
			}
		}
	})
}

// A browser that goes in the middle of a download stops the portal at once.
func TestBrowserAbortsDownload(t *testing.T) {
	gone := make(chan error, 1)
	w := newWorld(t, endless(t, gone))
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := w.client().Do(w.request("GET", "/", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<20)
	cancel()
	resp.Body.Close()
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Fatal("the portal still sends")
	}
	eventually(t, "the event says so", func() bool {
		all := w.logs.FilterMessage("request").All()
		return len(all) == 1 && all[0].ContextMap()["code"] == "browser_gone"
	})
}

// Events flow as they come; and a browser that leaves while there are none is
// noticed all the same.
func TestServerSentEvents(t *testing.T) {
	gone := make(chan struct{})
	next := make(chan string)
	w := newWorld(t, httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case s := <-next:
				fmt.Fprintf(rw, "data: %s\n\n", s)
				_ = http.NewResponseController(rw).Flush()
			case <-r.Context().Done():
				close(gone)
				return
			}
		}
	}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { next <- "one" }()
	resp, err := w.client().Do(w.request("GET", "/", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for _, want := range []string{"one", "two", "three"} {
		if want != "one" {
			next <- want
		}
		if line, err := r.ReadString('\n'); err != nil || line != "data: "+want+"\n" {
			t.Fatalf("%q %v", line, err)
		}
		_, _ = r.ReadString('\n')
	}
	cancel()
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Fatal("the portal was not told")
	}
}

// The bytes a watch reads ahead belong to the next request.
func TestPipelinedBehindSlowAnswer(t *testing.T) {
	w := newWorld(t, httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(150 * time.Millisecond)
		}
		fmt.Fprint(rw, r.URL.Path)
	}))
	c := w.raw(site)
	fmt.Fprintf(c, "GET /slow HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n", site, cookie)
	time.Sleep(100 * time.Millisecond)
	for _, p := range []string{"/2", "/3"} {
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n", p, site, cookie)
	}
	r := bufio.NewReader(c)
	for _, want := range []string{"/slow", "/2", "/3"} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != want {
			t.Errorf("%q, want %q", b, want)
		}
	}
}

// A transfer that stands still ends; one that moves, however slowly, does not.
func TestNoProgress(t *testing.T) {
	const limit = time.Second
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 20\r\n\r\n")
		for range 20 {
			if req.URL.Path == "/slow" {
				time.Sleep(limit / 10)
				io.WriteString(c, "x")
			}
		}
		_, _ = io.Copy(io.Discard, r)
	}), func(o *edge.Options) { o.Limits.Progress = limit })
	if _, body := w.do(w.client(), w.request("GET", "/slow", nil)); len(body) != 20 {
		t.Errorf("%d bytes", len(body))
	}
	resp, err := w.client().Do(w.request("GET", "/still", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("a clean end")
	}
	resp.Body.Close()
}

// A retired edge serves who is there and who comes, and each answer is the last
// of its connection. Drain then ends idle connections at once, lets a download
// finish, and closes WebSockets when its time is over.
func TestDrain(t *testing.T) {
	more := make(chan struct{})
	ws := wsPortal(t)
	pages := answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if req.URL.Path == "/" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
		<-more
		io.WriteString(c, "lf")
	}))
	idle := w.raw(site)
	fmt.Fprintf(idle, "GET / HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n", site, cookie)
	ir := bufio.NewReader(idle)
	if resp, err := http.ReadResponse(ir, nil); err != nil {
		t.Fatal(err)
	} else if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	download, err := w.client().Do(w.request("GET", "/half", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer download.Body.Close()
	w.portal.Store(&ws)
	socket, _, err := w.websocket("/ws")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "counted", func() bool { return w.edge.Count() == edge.Count{Downloads: 1, Upgraded: 1} })

	raw := *w.portal.Load()
	w.portal.Store(&pages)
	w.edge.Retire()
	fmt.Fprintf(idle, "GET / HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n", site, cookie)
	if resp, err := http.ReadResponse(ir, nil); err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("a connection that was there: %+v, %v", resp, err)
	} else if b, err := io.ReadAll(ir); err != nil || !strings.HasSuffix(string(b), "ok") {
		t.Errorf("its answer %q, its end %v", b, err)
	}
	for as, want := range map[string]int{cookie: 200, "": 401} { // the portal's page, and one of ours
		r := w.request("GET", "/", nil)
		r.Header.Set("Cookie", as)
		if resp, body := w.do(w.client(), r); resp.StatusCode != want || !resp.Close {
			t.Errorf("by a new connection: %s, closes: %v, %s", resp.Status, resp.Close, body)
		}
	}
	if resp, body := w.do(w.h2client(), w.request("GET", "/", nil)); resp.StatusCode != 200 || body != "ok" {
		t.Errorf("by a new HTTP/2 connection: %s %s", resp.Status, body)
	}
	w.portal.Store(&raw)

	quiet := w.raw(site)
	eventually(t, "the connection that asks nothing is there", func() bool { return w.gauge(t, "connections") == 3 })
	ctx, cancel := context.WithCancel(t.Context())
	w.drained = true
	done := make(chan error, 1)
	go func() { done <- w.edge.Drain(ctx) }()
	if _, err := quiet.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	close(more)
	if b, err := io.ReadAll(download.Body); err != nil || string(b) != "half" {
		t.Errorf("the download: %q %v", b, err)
	}
	if err := socket.Write(t.Context(), websocket.MessageText, []byte("still here")); err != nil {
		t.Fatal(err)
	}
	if _, b, err := socket.Read(t.Context()); err != nil || string(b) != "still here" {
		t.Errorf("the WebSocket before the deadline: %q %v", b, err)
	}
	if err := socket.Write(t.Context(), websocket.MessageText, []byte("last words")); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, b, err := socket.Read(t.Context()); err != nil || string(b) != "last words" {
		t.Errorf("what it asked just before the deadline: %q %v", b, err)
	}
	if _, _, err := socket.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("the WebSocket at the deadline: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// 200 aborted downloads leave no stream and no connection behind.
func TestNothingIsLeftOver(t *testing.T) {
	w := newWorld(t, endless(t, nil))
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		c := w.client()
		resp, err := c.Do(w.request("GET", "/", nil).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = resp.Body.Read(make([]byte, 1))
		cancel()
		resp.Body.Close()
	}
	eventually(t, "all are gone", func() bool { return w.gauge(t, "connections") == 0 && w.gauge(t, "requests_active") == 0 })
	if w.resets.Load() < 200 || w.gauge(t, "streams_idle") != 0 {
		t.Errorf("%d of 200 streams were reset", w.resets.Load())
	}
	if problems, err := testutil.GatherAndLint(w.reg); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func (w *world) gauge(t *testing.T, name string) float64 {
	t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "trunkline_relay_edge_"+name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal(errors.New("no metric " + name))
	return 0
}
