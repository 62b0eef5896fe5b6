package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/service"
	"trunkline/relay"
)

// A relay that drains says so at once, takes no tunnel more, and serves browsers
// that come all the same until it closes its door: nothing but that ever meets
// them. The only agent has nowhere to go, and serves to the end.
func TestDrainServesWhoeverComes(t *testing.T) {
	s := newCoast(t, func(c *relay.Config) { c.Drain = relay.Drain{Linger: 2 * time.Second, Deadline: time.Minute} })
	if err := s.relay.Ready(); err != nil {
		t.Fatal(err)
	}
	if d := s.drain(http.MethodGet); d.Draining || d.Tunnels != 1 {
		t.Errorf("before: %+v", d)
	}
	if d := s.drain(http.MethodPost); !d.Draining || d.Tunnels != 1 || d.Left < 30 || d.Left > 60 || d.Relay != "relay-1" {
		t.Errorf("at first: %+v", d)
	}
	if err := s.relay.Ready(); !errors.Is(err, &fault.Error{Code: fault.Draining}) {
		t.Errorf("ready: %v", err)
	}
	for began := time.Now(); ; { // the door is closed a moment after the drain was asked for
		_, raw, err := s.dial(t.Context(), s.device("newcomer"))
		if errors.Is(err, &fault.Error{Code: fault.Draining}) {
			break
		}
		if err != nil || time.Since(began) > 30*time.Second {
			t.Fatalf("a new tunnel: %v", err)
		}
		raw.Close()
	}
	served := 0
	for {
		err := s.browse(t.Context())
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err != nil {
			t.Fatalf("after %d visits: %v", served, err)
		}
		served++
	}
	if served == 0 {
		t.Error("the door was closed at once")
	}
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		t.Errorf("it goes on: %+v", s.drain(http.MethodGet))
	}
}

// A page in a browser on the relay's machine cannot end it.
func TestDrainIsNotForBrowsers(t *testing.T) {
	s := newCoast(t, func(*relay.Config) {})
	q := httptest.NewRequest(http.MethodPost, "/drain", http.NoBody)
	q.RemoteAddr = loopback
	q.Header.Set("Origin", "https://elsewhere.example")
	w := httptest.NewRecorder()
	s.relay.DrainPage().ServeHTTP(w, q)
	if w.Code != http.StatusForbidden || s.relay.Ready() != nil {
		t.Errorf("answered %d, ready %v", w.Code, s.relay.Ready())
	}
}

// Who reaches the admin listener from elsewhere, for the metrics, cannot end the relay,
// and hears what to do. On its machine any of its addresses does.
func TestDrainIsForTheRelaysMachine(t *testing.T) {
	s := newCoast(t, func(c *relay.Config) { c.Drain = relay.Drain{Deadline: time.Second} })
	var from string
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		q = q.WithContext(context.WithValue(q.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9702}))
		q.RemoteAddr = from
		s.relay.DrainPage().ServeHTTP(w, q)
	}))
	defer admin.Close()
	ask := func(begin bool) (service.Drain, error) {
		return service.AskDrain(t.Context(), admin.Listener.Addr().String(), begin)
	}
	for _, from = range []string{"10.0.0.2:40000", "[2001:db8::1]:40000", "nobody"} {
		if _, err := ask(true); !errors.Is(err, &fault.Error{Code: fault.Forbidden}) || s.relay.Ready() != nil {
			t.Errorf("from %s: %v, ready %v", from, err, s.relay.Ready())
		}
		if d, err := ask(false); err != nil || d.Draining {
			t.Errorf("from %s it is seen that %+v, %v", from, d, err)
		}
	}
	from = "[::ffff:10.0.0.1]:40000"
	if d, err := ask(true); err != nil || !d.Draining {
		t.Errorf("from its own address: %+v, %v", d, err)
	}
}

const loopback = "127.0.0.1:40000"

// drain asks for the state of the drain, or for one.
func (s *coast) drain(method string) service.Drain {
	s.t.Helper()
	w, q := httptest.NewRecorder(), httptest.NewRequestWithContext(context.Background(), method, "/drain", http.NoBody)
	q.RemoteAddr = loopback
	s.relay.DrainPage().ServeHTTP(w, q)
	var d service.Drain
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != http.StatusOK {
		s.t.Fatalf("%s /drain: %d %s", method, w.Code, w.Body)
	}
	return d
}
