package edge_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
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
