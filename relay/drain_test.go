package relay_test

import (
	"context"
	"encoding/json"
	"errors"
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
	q.Header.Set("Origin", "https://elsewhere.example")
	w := httptest.NewRecorder()
	s.relay.DrainPage().ServeHTTP(w, q)
	if w.Code != http.StatusForbidden || s.relay.Ready() != nil {
		t.Errorf("answered %d, ready %v", w.Code, s.relay.Ready())
	}
}

// drain asks for the state of the drain, or for one.
func (s *coast) drain(method string) service.Drain {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.relay.DrainPage().ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, "/drain", http.NoBody))
	var d service.Drain
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != http.StatusOK {
		s.t.Fatalf("%s /drain: %d %s", method, w.Code, w.Body)
	}
	return d
}
