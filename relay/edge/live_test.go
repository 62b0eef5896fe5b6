package edge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"trunkline/relay/edge"
)

// wsPortal echoes messages; "quit" makes it close, "die" makes it break off.
func wsPortal(t *testing.T) string {
	return httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(rw, "not here", http.StatusForbidden)
			return
		}
		if r.Header.Get("Origin") != origin {
			http.Error(rw, "origin "+r.Header.Get("Origin"), http.StatusForbidden)
			return
		}
		c, err := websocket.Accept(rw, r, &websocket.AcceptOptions{OriginPatterns: []string{"pbx.local:8088"}})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for {
			typ, b, err := c.Read(context.Background())
			switch {
			case err != nil:
				return
			case string(b) == "quit":
				c.Close(websocket.StatusNormalClosure, "bye")
				return
			case string(b) == "die":
				return
			}
			if c.Write(context.Background(), typ, b) != nil {
				return
			}
		}
	})
}

func (w *world) websocket(path string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{"Cookie": {cookie}, "Origin": {"https://" + site}}
	return websocket.Dial(w.t.Context(), "wss://"+site+path, &websocket.DialOptions{HTTPClient: w.client(), HTTPHeader: h})
}

func TestWebSocket(t *testing.T) {
	w := newWorld(t, wsPortal(t))
	c, _, err := w.websocket("/ws")
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	for _, n := range []int{1, 125, 126, 70000, 500000} {
		msg := strings.Repeat("m", n)
		if err := c.Write(t.Context(), websocket.MessageText, []byte(msg)); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(t.Context()); err != nil || string(b) != msg {
			t.Fatalf("%d of %d bytes: %v", len(b), n, err)
		}
	}
	if err := c.Write(t.Context(), websocket.MessageText, []byte("quit")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the portal's close arrived as %v", err)
	}
	eventually(t, "the event is logged", func() bool { return w.logs.FilterMessage("request").Len() == 1 })
	if m := w.logs.FilterMessage("request").All()[0].ContextMap(); m["what"] != "upgrade" || m["status"] != int64(101) || m["bytes_out"].(int64) < 570000 {
		t.Errorf("%v", m)
	}
	_, resp, err := w.websocket("/no")
	if err == nil || resp.StatusCode != 403 {
		t.Errorf("a portal that declines: %v", err)
	}
}

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
	case <-time.After(5 * time.Second):
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
	case <-time.After(5 * time.Second):
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
	const limit = 300 * time.Millisecond
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 20\r\n\r\n")
		for range 20 {
			if req.URL.Path == "/slow" {
				time.Sleep(limit / 6)
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

// Drain ends idle connections at once, lets a download finish, and closes
// WebSockets when its time is over.
func TestDrain(t *testing.T) {
	more := make(chan struct{})
	ws := wsPortal(t)
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
	ctx, cancel := context.WithCancel(t.Context())
	w.drained = true
	done := make(chan error, 1)
	go func() { done <- w.edge.Drain(ctx) }()
	if _, err := ir.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	if resp, body := w.do(w.client(), w.request("GET", "/", nil)); resp.StatusCode != 503 || !strings.Contains(body, "draining") {
		t.Errorf("a new connection: %d %s", resp.StatusCode, body)
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
	cancel()
	if _, _, err := socket.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("the WebSocket at the deadline: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Neither direction holds a body: memory does not grow with its size.
func TestMemoryIsBounded(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() || raceEnabled {
		size = 128 << 20
	}
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.Method == "POST" {
				n, _ := io.Copy(io.Discard, req.Body)
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d", len(fmt.Sprint(n)), n)
				continue
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
			_, _ = io.CopyN(c, zeros{}, size)
		}
	}), loopback)
	var peak atomic.Uint64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	wg.Go(func() {
		var m runtime.MemStats
		for {
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse+m.StackInuse))
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	begin := time.Now()
	resp, err := w.plainDo(w.plainRequest("GET", nil))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
		t.Errorf("down: %d bytes, %v", n, err)
	}
	resp.Body.Close()
	down := time.Since(begin)
	begin = time.Now()
	if resp, err = w.plainDo(w.plainRequest("POST", io.LimitReader(zeros{}, size))); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != fmt.Sprint(size) {
		t.Errorf("up: %s bytes, %v", b, err)
	}
	resp.Body.Close()
	close(stop)
	wg.Wait()
	grown := int64(peak.Load()) - int64(before.HeapInuse+before.StackInuse)
	t.Logf("%d MiB down in %v, up in %v; memory grew by %d KiB", size>>20, down, time.Since(begin), grown>>10)
	if grown > 32<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

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
	if w.resets.Load() != 200 || w.gauge(t, "streams_idle") != 0 {
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
