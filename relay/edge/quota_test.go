package edge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// serve has the site served by another device, of an account.
func (w *world) serve(d id.Device, a id.Account) {
	r := *w.route.Load()
	r.Device, r.Account = d, a
	w.route.Store(&r)
}

func limits(change func(*edge.Limits)) func(*edge.Options) {
	return func(o *edge.Options) { change(&o.Limits) }
}

func TestBucket(t *testing.T) {
	t0, at := time.Now(), time.Duration(0)
	var b edge.Bucket
	for i, c := range []struct{ at, cost, want time.Duration }{
		{0, 1, -9},  // of a burst of 10
		{0, 9, 0},   // all of it
		{0, 4, 4},   // a debt
		{3, 0, 1},   // that time pays
		{3, 99, 20}, // and that has a bound
		{20, 0, 3},
		{99, 0, -10}, // full again
	} {
		at = c.at
		if got := b.Take(c.cost, 10, 20, t0.Add(at)); got != c.want {
			t.Errorf("step %d: wait %d, want %d", i, got, c.want)
		}
	}
	b = edge.Bucket{}
	for i, c := range []struct{ at, want time.Duration }{{0, 0}, {0, 0}, {0, 2}, {1, 1}, {2, 0}, {2, 4}} {
		if got := b.Try(4, 10, t0.Add(c.at)); got != c.want {
			t.Errorf("try %d: wait %d, want %d", i, got, c.want)
		}
	}
	b = edge.Bucket{}
	if got := b.Try(40, 10, t0); got != 0 {
		t.Errorf("a full bucket refuses what is larger than it: for ever, it would be (wait %d)", got)
	}
}

// One account's streams are counted over its devices, and no other's are.
func TestStreamsPerAccount(t *testing.T) {
	answer := make(chan struct{})
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			<-answer
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		}
	}), limits(func(l *edge.Limits) { l.StreamsPerAccount = 2 }))
	a, b := id.NewAccount(), id.NewAccount()
	got := make(chan int, 3)
	get := func() {
		resp, err := w.client().Do(w.request("GET", "/", nil))
		if err != nil {
			t.Error(err)
			got <- 0
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		got <- resp.StatusCode
	}
	for i := range 2 {
		w.serve(id.NewDevice(), a)
		go get()
		eventually(t, "the stream is open", func() bool { return w.dials.Load() == int64(i+1) })
	}
	w.serve(id.NewDevice(), a)
	resp, text := w.do(w.client(), w.request("GET", "/", nil))
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || !strings.Contains(text, string(fault.TooMany)) {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
	}
	if n := w.limited("account_streams"); n != 1 {
		t.Errorf("counted %v", n)
	}
	w.serve(id.NewDevice(), b)
	go get()
	eventually(t, "another account's stream is open", func() bool { return w.dials.Load() == 3 })
	close(answer)
	for range 3 {
		if status := <-got; status != 200 {
			t.Errorf("answered %d", status)
		}
	}
	w.serve(id.NewDevice(), a)
	if resp, _ := w.do(w.client(), w.request("GET", "/", nil)); resp.StatusCode != 200 {
		t.Errorf("after the end of the others: %d", resp.StatusCode)
	}
}

// New streams have a rate; the requests that need none have not.
func TestOpensPerDevice(t *testing.T) {
	portal := httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/close" {
			rw.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(rw, "ok")
	})
	w := newWorld(t, portal, limits(func(l *edge.Limits) { l.OpensPerDevice, l.OpensPerAccount = 1, 2 }))
	d, a := id.NewDevice(), id.NewAccount()
	w.serve(d, a)
	c := w.client()
	status := func(path string) int {
		resp, _ := w.do(c, w.request("GET", path, nil))
		return resp.StatusCode
	}
	for i := range 10 { // of ten seconds
		if s := status("/close"); s != 200 {
			t.Fatalf("stream %d: %d", i, s)
		}
	}
	resp, text := w.do(c, w.request("GET", "/close", nil))
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || w.limited("device_opens") != 1 {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
	}
	w.serve(id.NewDevice(), a)
	for range 50 {
		if s := status("/keep"); s != 200 {
			t.Fatalf("another device: %d", s)
		}
	}
	last, n := 200, 0
	for ; last == 200 && n < 40; n++ {
		w.serve(id.NewDevice(), a)
		last = status("/keep")
	}
	if last != 429 || n < 8 || w.limited("account_opens") != 1 {
		t.Errorf("the account's devices: %d after %d", last, n)
	}
}

// What is limited in bytes comes late, and whole: what one exchange has had
// too much, the next ones wait for.
func TestBytesPerDevice(t *testing.T) {
	page := strings.Repeat("p", 60<<10)
	large := strings.Repeat("l", 3<<19)
	w := newWorld(t, httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/up":
			_, _ = fmt.Fprint(rw, len(b))
		case "/large":
			_, _ = io.WriteString(rw, large)
		default:
			_, _ = io.WriteString(rw, page)
		}
	}), limits(func(l *edge.Limits) { l.BytesPerDevice = 1 << 20 }))
	c := w.client()
	f := func(name string, do func()) {
		w.serve(id.NewDevice(), "")
		began := time.Now()
		do()
		if d := time.Since(began); d < 300*time.Millisecond { // 1.5 MB, of which the first is free and the last pieces are not waited for
			t.Errorf("%s: %s", name, d)
		}
	}
	f("a download", func() {
		if _, got := w.do(c, w.request("GET", "/large", nil)); got != large {
			t.Errorf("%d bytes", len(got))
		}
	})
	f("an upload", func() {
		if _, got := w.do(c, w.request("POST", "/up", strings.NewReader(large))); got != fmt.Sprint(len(large)) {
			t.Errorf("%s bytes", got)
		}
	})
	f("pages", func() {
		for range 26 {
			if _, got := w.do(c, w.request("GET", "/", nil)); got != page {
				t.Errorf("%d bytes", len(got))
			}
		}
	})
	began := time.Now()
	w.serve(id.NewDevice(), "")
	if _, got := w.do(c, w.request("GET", "/", nil)); got != page || time.Since(began) > time.Second {
		t.Errorf("another device: %d bytes after %s", len(got), time.Since(began))
	}
	if w.limited("device_bytes") == 0 {
		t.Error("not counted")
	}
}

// slow is a limit at which the first piece is followed by a minute's wait.
var slow = limits(func(l *edge.Limits) { l.BytesPerAccount = 1 << 10 })

// paused waits until something has had more than its bytes.
func (w *world) paused(t *testing.T) {
	t.Helper()
	eventually(t, "it has to wait", func() bool { return w.limited("account_bytes") > 0 })
}

// Who waits for bytes does not wait for them when there is no point any more.
func TestEndsWhilePaused(t *testing.T) {
	download := func(t *testing.T) (*world, *http.Response, context.CancelFunc) {
		w := newWorld(t, endless(t, nil), slow)
		w.serve(id.NewDevice(), id.NewAccount())
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		resp, err := w.client().Do(w.request("GET", "/", nil).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		w.paused(t)
		return w, resp, cancel
	}
	over := func(t *testing.T, w *world, code string) {
		eventually(t, "the event says "+code, func() bool {
			all := w.logs.FilterMessage("request").All()
			return len(all) == 1 && all[0].ContextMap()["code"] == code
		})
	}
	t.Run("the browser goes", func(t *testing.T) {
		w, resp, cancel := download(t)
		cancel()
		_ = resp.Body.Close()
		over(t, w, "browser_gone")
	})
	t.Run("the visit ends", func(t *testing.T) {
		w, _, _ := download(t)
		close(w.ended)
		over(t, w, string(endedBy()))
	})
	t.Run("the next one waits, and its visit ends", func(t *testing.T) {
		w, resp, cancel := download(t)
		cancel()
		_ = resp.Body.Close()
		over(t, w, "browser_gone")
		next := make(chan error, 1)
		before := w.limited("account_bytes")
		go func() {
			resp, err := w.client().Do(w.request("GET", "/", nil))
			if err == nil {
				_ = resp.Body.Close()
			}
			next <- err
		}()
		eventually(t, "the next one has to wait", func() bool { return w.limited("account_bytes") > before })
		close(w.ended)
		select {
		case err := <-next:
			if err == nil {
				t.Error("it was answered")
			}
		case <-time.After(30 * time.Second):
			t.Error("it still waits")
		}
	})
	t.Run("the relay stops", func(t *testing.T) {
		w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }), slow)
		w.serve(id.NewDevice(), id.NewAccount())
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			resp, err := w.client().Do(w.request("POST", "/", strings.NewReader(strings.Repeat("u", 1<<20))))
			if err == nil {
				_ = resp.Body.Close()
			}
		}()
		w.paused(t)
		w.drained = true
		gone, stop := context.WithCancel(t.Context())
		stop()
		began := time.Now()
		if err := w.edge.Drain(gone); err == nil || time.Since(began) > 30*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		<-sent
	})
	t.Run("the portal refuses an upload", func(t *testing.T) {
		refuse := make(chan struct{})
		w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, r) }()
			<-refuse
			_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
		}), slow)
		w.serve(id.NewDevice(), id.NewAccount())
		go func() { w.paused(t); close(refuse) }()
		c := w.client()
		c.Timeout = 30 * time.Second
		resp, err := c.Do(w.request("POST", "/", strings.NewReader(strings.Repeat("u", 1<<20))))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 413 || string(b) != "big" {
			t.Errorf("%d %q %v", resp.StatusCode, b, err)
		}
	})
	t.Run("a WebSocket's visit ends", func(t *testing.T) {
		w := newWorld(t, wsPortal(t), slow)
		w.serve(id.NewDevice(), id.NewAccount())
		c, _, err := w.websocket("/ws")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(1 << 20)
		for _, n := range []int{60_000, 6_000} { // the second is read at once, and goes beyond a piece
			if err := c.Write(t.Context(), websocket.MessageText, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "both ways have to wait", func() bool { return w.limited("account_bytes") == 2 })
		close(w.ended)
		over(t, w, string(endedBy()))
	})
}

// Whoever has long had nothing is forgotten.
func TestQuotasAreForgotten(t *testing.T) {
	w := newWorld(t, answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), limits(func(l *edge.Limits) {
		l.OpensPerDevice, l.BytesPerAccount = 1_000_000, 1<<30
	}))
	c := w.client()
	eventually(t, "what was there a second ago is gone", func() bool {
		w.serve(id.NewDevice(), id.NewAccount())
		w.do(c, w.request("GET", "/", nil))
		n := w.edge.Quotas()
		return n > 0 && int64(n) < 2*w.dials.Load()
	})
}
