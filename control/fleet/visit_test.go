package fleet_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// visited is a world with a connected device and a visit to it.
func visited(t *testing.T) (*world, fleet.Principal, fleet.VisitStart) {
	t.Helper()
	w := newWorld(t)
	g := w.activate(newPBX("SN-0001").request())
	w.connect(g.Device, 1)
	p := w.signIn(owner)
	v, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: g.Device})
	if err != nil {
		t.Fatal(err)
	}
	return w, p, v
}

func (w *world) event(v id.Visit, kind string, more func(*bus.VisitEvent)) {
	w.Helper()
	e := bus.VisitEvent{Visit: v, Relay: "r1", Kind: kind, At: w.now(), Remote: "198.51.100.7"}
	if more != nil {
		more(&e)
	}
	if err := w.VisitEvent(w.Context(), e); err != nil {
		w.Fatalf("%s: %v", kind, err)
	}
}

func (w *world) visit(p fleet.Principal) fleet.Visit {
	w.Helper()
	page, err := w.Visits(w.Context(), p, fleet.VisitQuery{})
	if err != nil || len(page.Items) != 1 {
		w.Fatalf("%+v, %v", page, err)
	}
	return page.Items[0]
}

func TestVisit(t *testing.T) {
	w, p, v := visited(t)
	hash, err := token.HandoverHash(v.Handover)
	if err != nil {
		t.Fatal(err)
	}
	h := w.handovers[hash]
	if h.Visit != v.Visit || !h.Expires.Equal(start.Add(time.Minute)) || h.Used {
		t.Errorf("handover %+v", h)
	}
	if v.URL != "https://"+string(v.Visit.Site)+".example.com:8443/.trunkline/visit" || v.Visit.Who != "Provider <owner@example.com>" ||
		v.Visit.Idle != 15*time.Minute || v.Visit.Expires.Sub(v.Visit.Started) != 8*time.Hour || v.Visit.Method != token.MethodAccount {
		t.Errorf("%+v", v)
	}
	w.wait(time.Second)
	for range 2 { // a report can come twice
		w.event(v.Visit.ID, "opened", nil)
	}
	if got := w.visit(p); !got.Opened.Equal(start.Add(time.Second)) || got.Remote != "198.51.100.7" || !got.Ended.IsZero() {
		t.Errorf("opened: %+v", got)
	}
	w.wait(time.Minute)
	for range 2 {
		w.event(v.Visit.ID, "ended", func(e *bus.VisitEvent) { e.BytesIn, e.BytesOut, e.Requests = 10, 20, 3 })
	}
	w.event(v.Visit.ID, "ended", func(e *bus.VisitEvent) { e.Relay, e.BytesIn = "r2", 5 })
	if got := w.visit(p); got.Ended.IsZero() || got.EndCode != fault.VisitEnded || got.BytesIn != 15 || got.BytesOut != 20 || got.Requests != 3 {
		t.Errorf("ended: %+v", got)
	}
	for range 3 {
		w.event(v.Visit.ID, "handover_refused", func(e *bus.VisitEvent) { e.Code = fault.HandoverUsed })
	}
	who := " Provider <owner@example.com>"
	if got := w.audit()[2:]; !slices.Equal(got, []string{"visit_start ok owner@example.com", "visit_open ok" + who, "visit_end ok" + who, "visit_open handover_used" + who}) {
		t.Errorf("audit %q", got)
	}
	wantCode(t, w.VisitEvent(t.Context(), bus.VisitEvent{Visit: id.NewVisit(), Kind: "opened"}), fault.NotFound)
	wantCode(t, w.VisitEvent(t.Context(), bus.VisitEvent{Visit: v.Visit.ID, Kind: "x"}), fault.Invalid)
}

func TestRefusedVisits(t *testing.T) {
	w := newWorld(t)
	w.addUser("audit@example.com", fleet.RoleAuditor, false)
	w.addUser("other@example.com", fleet.RoleOwner, true)
	on, off, never := w.activate(newPBX("ON-1").request()), w.activate(newPBX("OFF-1").request()), w.activate(newPBX("NEVER-1").request())
	w.connect(on.Device, 1)
	w.ApplyRoute(fleet.RouteEvent{Route: w.route(off.Device, "r1", fault.PeerSilent), Epoch: "e1", Rev: 2})
	for _, c := range []struct {
		name, who string
		r         fleet.VisitRequest
		want      fault.Code
		says      string
	}{
		{"auditor", "audit@example.com", fleet.VisitRequest{Device: on.Device}, fault.Forbidden, "role"},
		{"other account", "other@example.com", fleet.VisitRequest{Device: on.Device}, fault.NotFound, ""},
		{"unknown", owner, fleet.VisitRequest{Device: id.NewDevice()}, fault.NotFound, ""},
		{"passwordless", owner, fleet.VisitRequest{Device: on.Device, Method: token.MethodPasswordless}, fault.Forbidden, "account login"},
		{"method", owner, fleet.VisitRequest{Device: on.Device, Method: "x"}, fault.Invalid, ""},
		{"disconnected", owner, fleet.VisitRequest{Device: off.Device}, fault.NotConnected, "since 2026-03-01 12:00:00 UTC. The PBX stopped answering"},
		{"never connected", owner, fleet.VisitRequest{Device: never.Device}, fault.NotConnected, "never connected"},
	} {
		p := w.signIn(c.who)
		v, err := w.StartVisit(t.Context(), p, c.r)
		wantCode(t, err, c.want)
		if err == nil || !strings.Contains(err.Error(), c.says) || v.Handover != "" {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.who != "other@example.com" {
			if e := w.auditPage().Items[0]; e.Action != "visit_start" || e.Outcome != string(c.want) || e.Actor != c.who {
				t.Errorf("%s: audit %+v", c.name, e)
			}
		}
	}
	w.license = license.License{Plan: "x", Connections: 9, Expires: start.Add(-license.Grace)}
	_, err := w.StartVisit(t.Context(), w.signIn(owner), fleet.VisitRequest{Device: on.Device})
	wantCode(t, err, fault.LicenceExpired)
	if len(w.handovers) != 0 {
		t.Error("a refused visit has a handover")
	}
}

func TestEndVisit(t *testing.T) {
	w, p, v := visited(t)
	w.addUser("tech@example.com", fleet.RoleTechnician, false)
	w.addUser("admin@example.com", fleet.RoleAdmin, false)
	w.addUser("other@example.com", fleet.RoleOwner, true)
	wantCode(t, w.EndVisit(t.Context(), w.signIn("tech@example.com"), v.Visit.ID), fault.Forbidden)
	wantCode(t, w.EndVisit(t.Context(), w.signIn("other@example.com"), v.Visit.ID), fault.NotFound)
	wantCode(t, w.EndVisit(t.Context(), p, id.NewVisit()), fault.NotFound)
	if len(w.revocations()) != 0 {
		t.Error("revoked already")
	}
	for range 2 {
		if err := w.EndVisit(t.Context(), w.signIn("admin@example.com"), v.Visit.ID); err != nil {
			t.Error(err)
		}
	}
	r := w.revocations()["visit."+string(v.Visit.ID)]
	if r.Code != fault.EndedByStaff || !r.Until.Equal(v.Visit.Expires) || w.visit(p).Ended.IsZero() {
		t.Errorf("%+v, %+v", r, w.visit(p))
	}
}

// The bus is down when a visit is to begin: no visit is left behind. It is
// down when one is to end: it has ended, and the bus is told later.
func TestBusIsDown(t *testing.T) {
	w, p, v := visited(t)
	w.busDown = errors.New("no servers")
	_, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: v.Visit.Device})
	wantCode(t, err, fault.Unavailable)
	if page, _ := w.Visits(t.Context(), p, fleet.VisitQuery{}); page.Items[0].EndCode != fault.Unavailable && page.Items[1].EndCode != fault.Unavailable {
		t.Errorf("%+v", page)
	}
	if err := w.EndVisit(t.Context(), p, v.Visit.ID); err != nil {
		t.Error(err)
	}
	if err := w.Republish(t.Context()); err == nil {
		t.Error("republished on a bus that is down")
	}
	w.busDown = nil
	if err := w.Republish(t.Context()); err != nil || w.revocations()["visit."+string(v.Visit.ID)].Code != fault.EndedByStaff {
		t.Errorf("%v, %v", err, w.revocations())
	}
}

// The bus came back empty.
func TestRepublish(t *testing.T) {
	w, p, v := visited(t)
	second, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: v.Visit.Device})
	if err != nil {
		t.Fatal(err)
	}
	w.event(v.Visit.ID, "opened", nil)
	w.emptyBus()
	for range 2 { // and again, onto what is there
		if err := w.Republish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	hash, _ := token.HandoverHash(second.Handover)
	if _, ok := w.handovers[hash]; len(w.handovers) != 1 || !ok || len(w.pass) != 1 || len(w.seal) != 1 {
		t.Errorf("%v, %d, %d", w.handovers, len(w.pass), len(w.seal))
	}
	w.wait(2 * time.Minute)
	w.emptyBus()
	if err := w.Republish(t.Context()); err != nil || len(w.handovers) != 0 {
		t.Errorf("an expired handover is back: %v, %v", w.handovers, err)
	}
}

// A relay admits whom it can as soon as it has keys: whatever makes a control that
// has just started put them on an empty bus, the revocations are there before.
func TestRevocationsComeBeforeKeys(t *testing.T) {
	w, p, v := visited(t)
	if err := w.EndVisit(t.Context(), p, v.Visit.ID); err != nil {
		t.Fatal(err)
	}
	for name, first := range map[string]func() error{
		"a run":         func() error { return w.Republish(t.Context()) },
		"a rotation":    func() error { return w.RotateForTest(t.Context()) },
		"an activation": func() error { w.activate(newPBX("SN-0002").request()); return nil },
	} {
		w.emptyBus()
		w.restart()
		if err := first(); err != nil {
			t.Fatal(name, err)
		}
		if len(w.pass) == 0 || len(w.revoked) == 0 || w.revokedFirst != len(w.revoked) {
			t.Errorf("%s: %d keys, %d of %d revocations before them", name, len(w.pass), w.revokedFirst, len(w.revoked))
		}
	}
}

func TestSweep(t *testing.T) {
	w, p, v := visited(t)
	w.wait(4 * time.Minute)
	if _, err := w.SweepForTest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.visit(p); got.EndCode != fault.HandoverInvalid || !got.Ended.Equal(start.Add(time.Minute)) {
		t.Errorf("%+v", got)
	}
	// The relay's report was only late.
	w.event(v.Visit.ID, "opened", nil)
	if got := w.visit(p); !got.Ended.IsZero() || got.Opened.IsZero() {
		t.Errorf("%+v", got)
	}
	w.wait(8 * time.Hour)
	if _, err := w.SweepForTest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.visit(p); got.EndCode != fault.VisitExpired || !got.Ended.Equal(v.Visit.Expires) {
		t.Errorf("%+v", got)
	}
}
