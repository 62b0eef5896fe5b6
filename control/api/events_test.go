package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// stream is a ResponseWriter that knows flushes and deadlines.
type stream struct {
	mu       sync.Mutex // guards all below
	header   http.Header
	status   int
	written  bytes.Buffer
	flushed  string // what a client has seen
	deadline time.Time
	bound    time.Duration // of the last write
	stuck    error         // of further writes
}

func (s *stream) Header() http.Header { return s.header }
func (s *stream) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stuck != nil {
		return 0, s.stuck
	}
	s.bound = time.Until(s.deadline)
	return s.written.Write(b)
}
func (s *stream) FlushError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushed = s.written.String()
	return nil
}
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return nil
}
func (s *stream) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushed
}

// bounds are how long the last write might have taken, and when a stream that
// writes nothing is reset.
func (s *stream) bounds() (write time.Duration, idle time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bound, s.deadline
}

// open starts a watch in a bubble; done is closed at its end.
func open(w *world) (s *stream, leave context.CancelFunc, done chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/events", nil)
	r.Header.Set("Authorization", "Bearer "+goodToken)
	s, done = &stream{header: http.Header{}}, make(chan struct{})
	go func() {
		defer close(done)
		w.ServeHTTP(s, r)
	}()
	return s, cancel, done
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fleet.watch = make(chan fleet.DeviceEvent)
		s, leave, done := open(w)
		synctest.Wait()
		if s.status != 200 || s.header.Get("Content-Type") != "text/event-stream" || s.header.Get("Cache-Control") != "no-store" || s.seen() == "" {
			t.Fatalf("%d %v %q", s.status, s.header, s.seen())
		}
		start := s.seen()
		w.fleet.watch <- fleet.DeviceEvent{Device: acme}
		w.fleet.watch <- fleet.DeviceEvent{Device: fleet.Device{ID: aDevice}, Removed: true}
		synctest.Wait()
		events := strings.TrimPrefix(s.seen(), start)
		if !strings.HasPrefix(events, `event: device`+"\n"+`data: {"id":"dev_0123456789abcdef","device":{"id":"dev_0123456789abcdef","account":"acc_0123456789abcdef",`) ||
			!strings.HasSuffix(events, "\n\n"+`event: device`+"\n"+`data: {"id":"dev_0123456789abcdef","removed":true}`+"\n\n") {
			t.Fatalf("%s", events)
		}
		if write, idle := s.bounds(); write != 10*time.Second || !idle.IsZero() {
			t.Errorf("a stuck client may hold us for %s, and silence for long until %s", write, idle)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if beats := strings.Count(s.seen(), ": still here\n\n"); beats != 2 {
			t.Errorf("%d heartbeats in 31 s", beats)
		}
		leave()
		<-done
		if e := w.logs.TakeAll(); len(e) != 1 || e[0].ContextMap()["code"] != "" {
			t.Errorf("%v", e)
		}
	})
}

func TestEventsEnd(t *testing.T) {
	ends := map[string]func(*world, *stream){
		"when fleet gives a slow watcher up": func(w *world, _ *stream) { close(w.fleet.watch) },
		"at the heartbeat after signing out": func(w *world, _ *stream) {
			w.fleet.mu.Lock()
			w.fleet.auth = fault.New(fault.SignInNeeded, "Signed out.")
			w.fleet.mu.Unlock()
		},
		"when the client takes nothing": func(w *world, s *stream) {
			s.mu.Lock()
			s.stuck = errors.New("i/o timeout")
			s.mu.Unlock()
			w.fleet.watch <- fleet.DeviceEvent{Device: acme}
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.fleet.watch = make(chan fleet.DeviceEvent)
				s, leave, done := open(w)
				defer leave()
				synctest.Wait()
				before := s.seen()
				end(w, s)
				<-done
				if s.seen() != before {
					t.Errorf("afterwards it said %q", s.seen())
				}
			})
		})
	}
}

func TestEventStreamsOfOneUserAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fleet.watch = make(chan fleet.DeviceEvent)
		var leaves []func()
		for range 20 {
			_, leave, done := open(w)
			leaves = append(leaves, func() { leave(); <-done })
		}
		synctest.Wait()
		if p := problem(t, w.do("GET", "/api/v1/events", "")); p.Code != fault.TooMany || p.RetryAfter == 0 {
			t.Errorf("%+v", p)
		}
		leaves[0]()
		s, leave, done := open(w)
		synctest.Wait()
		if s.status != 200 {
			t.Errorf("no place after one left: %d", s.status)
		}
		leaves[0] = func() { leave(); <-done }
		for _, l := range leaves {
			l()
		}
	})
}

// The client of controlapi against the handler, over a real connection.
func TestClientAgainstHandler(t *testing.T) {
	w := newWorld(t)
	w.fleet.watch = make(chan fleet.DeviceEvent, 2)
	srv := httptest.NewServer(w)
	defer srv.Close()
	c, err := controlapi.NewClient(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := c.Subscription(ctx); fault.CodeOf(err) != fault.SignInNeeded {
		t.Fatal(err)
	}
	s, err := c.SignIn(ctx, "anna@example.com", "x")
	if err != nil || s.User.Role != "owner" {
		t.Fatal(s, err)
	}
	c = c.WithToken(s.Token)

	page, err := c.Devices(ctx, controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: "a&b", Status: "connected"}, PageQuery: controlapi.PageQuery{Cursor: "c/+", Limit: 3}})
	if err != nil || len(page.Items) != 1 || page.Next != "more" || page.Items[0].ReasonText == "" || page.Items[0].URL != "https://pbx-acme.example.com/" {
		t.Fatal(page, err)
	}
	if q := w.fleet.last()[1].(fleet.DeviceQuery); !reflect.DeepEqual(q, fleet.DeviceQuery{Search: "a&b", Status: "connected", Cursor: "c/+", Limit: 3}) {
		t.Fatalf("%+v", q)
	}
	key := make([]byte, 64)
	g, err := c.Activate(ctx, controlapi.ActivationRequest{Serial: "SN-0001", Model: "P550", Firmware: "1", PublicKey: key[:32], Proof: key, Email: "a@b", Password: "x"})
	if err != nil || g.LifetimeSeconds != 86400 || len(g.Relays) != 1 {
		t.Fatal(g, err)
	}
	_, err1 := c.RenewPass(ctx, controlapi.RenewalRequest{Device: aDevice, Nonce: key[:16], Proof: key})
	_, err2 := c.Device(ctx, aDevice)
	v, err3 := c.StartVisit(ctx, controlapi.VisitRequest{Device: aDevice})
	_, err4 := c.Visits(ctx, controlapi.VisitQuery{})
	_, err5 := c.Subscription(ctx)
	_, err6 := c.Audit(ctx, controlapi.AuditQuery{AuditFilter: controlapi.AuditFilter{Action: "sign_in"}})
	if err := errors.Join(err1, err2, err3, err4, err5, err6, c.EndVisit(ctx, aVisit), c.RemoveDevice(ctx, aDevice)); err != nil {
		t.Fatal(err)
	}
	if v.Handover != "once" || v.Visit.IdleSeconds != 900 {
		t.Fatalf("%+v", v)
	}

	var got []string
	err = c.Watch(ctx, func() {
		w.fleet.watch <- fleet.DeviceEvent{Device: acme}
		w.fleet.watch <- fleet.DeviceEvent{Device: fleet.Device{ID: aDevice}, Removed: true}
		close(w.fleet.watch)
	}, func(e controlapi.DeviceEvent) error {
		got = append(got, fmt.Sprintf("%s removed=%v device=%v", e.ID, e.Removed, e.Device != nil))
		return nil
	})
	if err != nil || len(got) != 2 || got[0] != "dev_0123456789abcdef removed=false device=true" ||
		got[1] != "dev_0123456789abcdef removed=true device=false" {
		t.Fatal(got, err)
	}
	if said := w.fleet.last(); said[1] != (fleet.Watched{}) {
		t.Errorf("watched %v", said)
	}
	// The watch's channel is closed, so that this one ends at once.
	if err := c.WatchFor(ctx, controlapi.WatchQuery{Scope: "sub"}, nil, nil); err != nil || w.fleet.last()[1] != (fleet.Watched{Below: true}) {
		t.Errorf("%v, watched %v", err, w.fleet.last())
	}
	if err := c.SignOut(ctx); err != nil {
		t.Fatal(err)
	}
}
