package edge_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"trunkline/internal/fault"
	"trunkline/internal/id"
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

// A WebSocket by another relay ends in the same way when that one is about to end its
// stream, and the next one goes on.
func TestWebSocketByARelayThatCloses(t *testing.T) {
	closing := make(chan chan struct{}, 1)
	w := newWorld(t, wsPortal(t), func(o *edge.Options) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, d id.Device, h edge.Header) (edge.Stream, error) {
			s, err := dial(ctx, d, h)
			if err != nil {
				return nil, err
			}
			c := make(chan struct{})
			closing <- c
			return closer{s, c}, nil
		}
	})
	first, _, err := w.websocket("/ws")
	if err != nil {
		t.Fatal(err)
	}
	closes := <-closing
	second, _, err := w.websocket("/ws")
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"still here", "last words"} { // after the first there is half a second for the second
		if words == "last words" {
			if _, b, err := first.Read(t.Context()); err != nil || string(b) != "still here" {
				t.Errorf("before: %q, %v", b, err)
			}
		}
		if err := first.Write(t.Context(), websocket.MessageText, []byte(words)); err != nil {
			t.Fatal(err)
		}
	}
	close(closes)
	if _, b, err := first.Read(t.Context()); err != nil || string(b) != "last words" {
		t.Errorf("what it asked before: %q, %v", b, err)
	}
	if _, _, err := first.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("it ended with %v", err)
	}
	if err := second.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, b, err := second.Read(t.Context()); err != nil || string(b) != "hello" {
		t.Errorf("by another link: %q, %v", b, err)
	}
}

type closer struct {
	edge.Stream
	closing chan struct{}
}

func (c closer) Closing() <-chan struct{} { return c.closing }

// A visit that ends while its WebSocket waits for a pause ends at once, and says so.
func TestWebSocketOfAVisitThatEndsInAFarewell(t *testing.T) {
	w := newWorld(t, wsPortal(t))
	c, _, err := w.websocket("/ws")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w.drained = true
	drained := make(chan error, 1)
	go func() { drained <- w.edge.Drain(gone) }()
	for n := range 3 { // it never pauses for long
		if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			t.Fatalf("after %d messages: %v", n, err)
		}
		if _, _, err := c.Read(t.Context()); err != nil {
			t.Fatalf("after %d messages: %v", n, err)
		}
	}
	close(w.ended)
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("it ended with %v", err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A cookie that seems idle is asked for elsewhere, once, and its visit goes on.
func TestAnIdleCookieIsAskedFor(t *testing.T) {
	for _, on := range []bool{true, false} {
		var asked atomic.Int64
		w := newWorld(t, answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), func(o *edge.Options) {
			admit := o.Admit
			o.Admit = func(cookie string, site id.Site, a edge.Activity, key uint64) (edge.Guest, error) {
				if !on || asked.Load() == 0 {
					return edge.Guest{}, fault.Over(fault.VisitIdle)
				}
				return admit(cookie, site, a, key)
			}
			o.Revive = func(_ context.Context, c string) bool { asked.Add(1); return on && strings.HasSuffix(cookie, "="+c) }
		})
		want := http.StatusOK
		if !on {
			want = http.StatusUnauthorized
		}
		r := w.request("GET", "/", nil)
		if resp, body := w.do(w.client(), r); resp.StatusCode != want || asked.Load() != 1 {
			t.Errorf("on elsewhere %v: %s %q, asked %d times", on, resp.Status, body, asked.Load())
		}
	}
}
