package testnet_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"trunkline/agent/manage"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// A visit has been through two relays, whose clock is ours, and its visitor stays with one
// of them. At the other they do nothing for longer than they may: the visit goes on, for
// control, for the PBX and there, and at a third relay a page opens by a cookie as old
// as that. Once nobody is seen at any of them it is over, everywhere.
func TestIdleAtOneRelayIsNotIdle(t *testing.T) {
	var ahead atomic.Int64 // of these relays' clocks
	more := &testnet.More{Names: []id.Relay{"relay-2", "relay-3", "relay-4"}, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
	w := testnet.Start(t, more.WithRelays)
	p := letIn(t, w, headerLogin, w.Portal(trusting)) // to relay-1, which serves no visit
	left, kept, third := w.Relay(more, "relay-2", nil), w.Relay(more, "relay-3", nil), w.Relay(more, "relay-4", nil)
	for _, r := range []*testnet.Relay{left, kept, third} {
		w.Eventually(string(r.Name)+" has links to the others", func() error {
			if n := testutil.CollectAndCount(r.Registry, "trunkline_relay_peer_links"); n != 3 {
				return fmt.Errorf("to %d", n)
			}
			return nil
		})
	}
	page := func(v *visitor.Visitor, r *testnet.Relay, want fault.Code) {
		t.Helper()
		w.Through(v, r.Addr())
		if code := asks(t, v, "navigate", "document", "?1"); code != want {
			t.Fatalf("%v later a page through %s is told %q, want %q", time.Duration(ahead.Load()), r.Name, code, want)
		}
	}

	here, visit := enterAt(t, w, p, left)
	page(here, left, "")
	before := clone(t, here)
	idler, idle := enterAt(t, w, p, left) // goes nowhere else
	page(idler, left, "")

	limit := time.Duration(visit.IdleSeconds) * time.Second
	for now := limit / 4; now <= limit+limit/4; now += limit / 4 {
		ahead.Store(int64(now))
		page(here, kept, "")
	}
	w.Eventually("what is idle at its only relay is over", func() error { return ended(w, idle.ID, fault.VisitIdle) })
	if err := ended(w, visit.ID, ""); err != nil {
		t.Fatalf("what is idle at one of its relays: %v", err)
	}
	if view, err := p.Desk.View(t.Context()); err != nil || !slices.ContainsFunc(view.Now, func(v manage.Visit) bool { return v.ID == visit.ID }) {
		t.Fatalf("the PBX's staff see %+v, %v", view.Now, err)
	}
	page(clone(t, before), third, "")
	page(clone(t, before), left, "")

	ahead.Add(int64(limit + time.Minute))
	w.Eventually("what is idle at all its relays is over", func() error { return ended(w, visit.ID, fault.VisitIdle) })
	w.Eventually("the PBX's staff see nobody", func() error {
		view, err := p.Desk.View(t.Context())
		if err == nil && len(view.Now) > 0 {
			err = fmt.Errorf("%+v", view.Now)
		}
		return err
	})
	for _, r := range []*testnet.Relay{left, kept, third} {
		page(clone(t, here), r, fault.VisitIdle)
	}
}

// What control has ended is over for a browser at a relay that cannot hear it, as soon as
// the relay that has the PBX's tunnel has heard.
func TestAnEndIsHeardWhereTheTunnelIs(t *testing.T) {
	line := testnet.NewWire(t)
	more := &testnet.More{Names: []id.Relay{"relay-2"}, Dial: line.Addr()}
	w := testnet.Start(t, more.WithRelays)
	line.To(w.Up.BusAddr())
	p := letIn(t, w, headerLogin, w.Portal(trusting)) // to relay-1
	r := w.Relay(more, "relay-2", nil)
	v, visit := enterAt(t, w, p, r)
	other, _ := enterAt(t, w, p, r)
	for _, x := range []*visitor.Visitor{v, other} {
		if code := asks(t, x, "navigate", "document", "?1"); code != "" {
			t.Fatal(code)
		}
	}
	line.Cut()
	if err := w.API.EndVisit(t.Context(), visit.ID); err != nil {
		t.Fatal(err)
	}
	w.Eventually("the visit that was ended is over", func() error {
		if code := asks(t, v, "navigate", "document", "?1"); !strings.Contains(string(code), string(fault.EndedByStaff)) {
			return fmt.Errorf("it is told %q", code)
		}
		return nil
	})
	if code := asks(t, other, "navigate", "document", "?1"); code != "" {
		t.Errorf("another visit is told %q", code)
	}
}

// clone is a visitor with v's cookie of now, and connections of its own.
func clone(t *testing.T, v *visitor.Visitor) *visitor.Visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(v.Origin)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(u, v.Jar.Cookies(u))
	return &visitor.Visitor{Origin: v.Origin, Client: &http.Client{Jar: jar, Transport: v.Transport, CheckRedirect: v.CheckRedirect}}
}

// ended errs if control does not say that v ended for code; "": that it goes on.
func ended(w *testnet.World, v id.Visit, code fault.Code) error {
	all, err := w.API.Visits(w.T.Context(), controlapi.VisitQuery{})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all.Items, func(x controlapi.Visit) bool { return x.ID == v })
	if i < 0 {
		return errors.New("it is not there")
	}
	if got := all.Items[i]; got.EndCode != code || got.Ended.IsZero() != (code == "") {
		return fmt.Errorf("ended %v, %s", got.Ended, got.EndCode)
	}
	return nil
}
