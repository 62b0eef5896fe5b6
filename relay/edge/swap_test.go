package edge_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
	"trunkline/relay/edge"
)

const (
	primaryID   = id.Device("dev_0123456789abcdef")
	secondaryID = id.Device("dev_fedcba9876543210")
)

// pair is a world whose site is a hot-standby pair, both at one portal.
type pair struct {
	*world
	serves atomic.Pointer[id.Device]
}

func newPair(t *testing.T, portal string) *pair {
	p := &pair{}
	one, two := primaryID, secondaryID
	p.serves.Store(&one)
	var shown atomic.Pointer[id.Device]
	facts := map[id.Device]*tunnel.Standby{
		one: {Type: "primary", Role: "active", Peer: "SN-2222"}, two: {Type: "secondary", Role: "standby", Peer: "SN-1111"},
	}
	p.world = newWorld(t, portal, func(o *edge.Options) {
		admit := o.Admit
		o.Admit = func(c string, s id.Site, a edge.Activity, key uint64) (edge.Guest, error) {
			g, err := admit(c, s, a, key)
			g.Served = func(d id.Device) (before id.Device) {
				if was := shown.Swap(&d); was != nil {
					before = *was
				}
				return before
			}
			return g, err
		}
		o.Route = func(_ id.Site, d id.Device) (edge.Route, bool) {
			if d == "" {
				d = *p.serves.Load()
			}
			return edge.Route{Device: d, Since: time.Now(), Portal: tunnel.Portal{Origin: origin}, Standby: facts[d]}, true
		}
	})
	return p
}

func (p *pair) swap(to id.Device) {
	p.serves.Store(&to)
	p.edge.Swapped("pbx-one", to)
}

func (p *pair) get(method, path string, fields ...string) (*http.Response, string) {
	p.t.Helper()
	r := p.request(method, path, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return p.do(p.client(), r)
}

// The notice comes once, to a navigation, and says who serves.
func TestRolesSwapped(t *testing.T) {
	p := newPair(t, httpPortal(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "portal") }))
	document := []string{"Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate", "Accept", "text/html"}
	expect := func(status int, method, path string, fields ...string) string {
		t.Helper()
		resp, text := p.get(method, path, fields...)
		if resp.StatusCode != status {
			t.Errorf("%s %s %q: %s %.200s", method, path, fields, resp.Status, text)
		}
		return text
	}
	p.swap(secondaryID)
	p.swap(primaryID)
	expect(http.StatusOK, "GET", "/", document...) // the first page is no swap
	p.swap(secondaryID)
	expect(http.StatusOK, "GET", "/api")
	expect(http.StatusOK, "GET", "/frame", "Sec-Fetch-Dest", "iframe", "Sec-Fetch-Mode", "navigate", "Accept", "text/html")
	expect(http.StatusOK, "GET", "/data", "Sec-Fetch-Dest", "empty", "Accept", "text/html")
	text := expect(http.StatusConflict, "GET", "/cdr?page=2&x=%22", document...)
	for _, want := range []string{"roles_swapped", "the secondary server with the serial number SN-2222", `href="/cdr?page=2&amp;x=%22"`, "Continue"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	expect(http.StatusOK, "GET", "/cdr?page=2", document...)
	// Without Fetch Metadata; nothing leads elsewhere.
	p.swap(primaryID)
	if text = expect(http.StatusConflict, "GET", "//evil.example/x", "Accept", "text/html"); strings.Contains(text, "evil") {
		t.Errorf("it leads away: %s", text)
	}
	// What is posted is not done on another server than its form was on.
	p.swap(secondaryID)
	if text = expect(http.StatusConflict, "POST", "/reboot", document...); !strings.Contains(text, `href="/"`) {
		t.Errorf("after a post: %s", text)
	}
	expect(http.StatusOK, "POST", "/reboot", document...)
}

// A WebSocket to the server that serves no more ends as one to a server that
// restarts does, and the next one goes to the other.
func TestSwapEndsWebSockets(t *testing.T) {
	p := newPair(t, wsPortal(t))
	old, _, err := p.websocket("/ws")
	if err != nil {
		t.Fatal(err)
	}
	defer old.CloseNow()
	echo := func(c *websocket.Conn) error {
		if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			return err
		}
		_, _, err := c.Read(t.Context())
		return err
	}
	if err := echo(old); err != nil {
		t.Fatal(err)
	}
	p.edge.Swapped("pbx-two", secondaryID) // another pair's
	p.edge.Swapped("pbx-one", primaryID)
	if err := echo(old); err != nil {
		t.Fatal(err)
	}
	p.swap(secondaryID)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, _, err := old.Read(ctx); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("it ended with %v", err)
	}
	eventually(t, "its event", func() bool {
		return p.logs.FilterField(zap.String("code", string(fault.RolesSwapped))).Len() == 1
	})
	next, _, err := p.websocket("/ws")
	if err != nil {
		t.Fatal(err)
	}
	defer next.CloseNow()
	p.edge.Swapped("pbx-one", secondaryID)
	if err := echo(next); err != nil {
		t.Error(err)
	}
}
