package pbxsim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap/zaptest"

	"trunkline/internal/pbxsim"
)

func socket(t *testing.T, v *visitor, path string) *websocket.Conn {
	t.Helper()
	c, res, err := websocket.Dial(t.Context(), v.base+path, &websocket.DialOptions{
		HTTPClient: v.Client, HTTPHeader: http.Header{"Origin": {v.base}},
	})
	if err != nil {
		t.Fatalf("dial %s: %v (%v)", path, err, res)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(4 << 20)
	return c
}

func TestCallMonitorTicks(t *testing.T) {
	t.Parallel()
	v := visit(t, start(t, pbxsim.Config{}))
	if _, res, err := websocket.Dial(t.Context(), v.base+"/ws/calls", nil); err == nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger's monitor: %v, %v", res, err)
	}
	v.signIn("support", "plain secret")
	c := socket(t, v, "/ws/calls")
	for want := 1; want <= 2; want++ {
		_, b, err := c.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Tick  int
			At    time.Time
			Calls []struct {
				ID              int
				From, To, State string
			}
		}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		if m.Tick != want || time.Since(m.At).Abs() > 10*time.Second || m.Calls == nil {
			t.Errorf("message %s", b)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestEcho(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	c := socket(t, v, "/ws/echo")
	for _, m := range []struct {
		kind websocket.MessageType
		b    []byte
	}{
		{websocket.MessageText, []byte("hello")},
		{websocket.MessageText, nil},
		{websocket.MessageBinary, bytes.Repeat([]byte{0, 0xff, 7}, 100_000)},
		{websocket.MessageBinary, make([]byte, 1<<20)},
	} {
		if err := c.Write(t.Context(), m.kind, m.b); err != nil {
			t.Fatal(err)
		}
		kind, b, err := c.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if kind != m.kind || !bytes.Equal(b, m.b) {
			t.Errorf("sent %v of %d bytes, got %v of %d", m.kind, len(m.b), kind, len(b))
		}
	}
	if err := c.Write(t.Context(), websocket.MessageBinary, make([]byte, 1<<20+1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("over 1 MiB: %v", err)
	}
}

// events reads n server-sent events' data.
func events(t *testing.T, v *visitor, path string, n int) (data []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	res, err := v.Do(v.request("GET", path, "", "Accept", "text/event-stream").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.ContentLength != -1 {
		t.Fatalf("%s: %d %v", path, res.StatusCode, res.Header)
	}
	for s := bufio.NewScanner(res.Body); len(data) < n && s.Scan(); {
		if d, ok := strings.CutPrefix(s.Text(), "data: "); ok {
			data = append(data, d)
		}
	}
	return data
}

func TestSystemEvents(t *testing.T) {
	t.Parallel()
	v := visit(t, start(t, pbxsim.Config{}))
	res, _ := v.get("/events/system")
	status(t, res, http.StatusUnauthorized)
	v.signIn("root", "super secret")
	got := events(t, v, "/events/system", 2)
	if len(got) != 2 {
		t.Fatalf("events %q", got)
	}
	has(t, "second event", got[1], `"tick":2`, `"cpu":`, `"memory":`, `"channels":`)

	got = events(t, v, "/test/events?n=5&ms=1", 6)
	if len(got) != 5 || got[4] != `{"tick":5}` {
		t.Errorf("test events %q", got)
	}
}

// Nothing may hold up the end: not a socket, not events, not a hanging
// request, not a connection that said nothing yet.
func TestStopEndsEverything(t *testing.T) {
	t.Parallel()
	p, err := pbxsim.New(pbxsim.Config{SuperAdmin: "root", SuperPassword: "super secret"}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()

	v := visit(t, p)
	v.signIn("root", "super secret")
	calls, echo := socket(t, v, "/ws/calls"), socket(t, v, "/ws/echo")
	ended := make(chan error, 3)
	for _, path := range []string{"/events/system", "/test/hang", "/test/drip?n=1000&ms=1000&length=1"} {
		go func() {
			res, err := v.Do(v.request("GET", path, ""))
			if err == nil {
				_, err = bufio.NewReader(res.Body).WriteTo(&bytes.Buffer{})
				res.Body.Close()
			}
			ended <- err
		}()
	}
	silent, _ := dial(t, p, "GET /half HTTP/1.1\r\nHo")
	if _, _, err := calls.Read(t.Context()); err != nil { // it is up
		t.Fatal(err)
	}

	cancel()
	for _, c := range []*websocket.Conn{calls, echo} {
		var ce websocket.CloseError
		for err = nil; err == nil; {
			_, _, err = c.Read(t.Context())
		}
		if !errors.As(err, &ce) || ce.Code != websocket.StatusGoingAway {
			t.Errorf("the socket ended with %v, want a goodbye", err)
		}
	}
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Run did not return")
	}
	for range 3 {
		<-ended
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent connection is still open")
	}
	if _, err := v.Get(p.URL() + "/healthz"); err == nil {
		t.Error("the portal still answers")
	}
}
