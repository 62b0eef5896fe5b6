package fleet_test

import (
	"slices"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// told are the events of a watcher until now.
func (w *world) told(ch <-chan fleet.DeviceEvent) (out []fleet.DeviceEvent) {
	w.Helper()
	if err := w.FlushForTest(w.Context()); err != nil {
		w.Fatal(err)
	}
	for {
		select {
		case e, open := <-ch:
			if !open {
				w.Fatal("the watch was closed")
			}
			out = append(out, e)
		default:
			return out
		}
	}
}

// A page can tell what only moved on from what may be new, or be counted otherwise.
func TestWatchersKnowAnEdit(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	ch := w.Watch(t.Context(), p)
	edited := func(when string, d id.Device, want bool) {
		t.Helper()
		es := w.told(ch)
		if len(es) != 1 || es[0].Device.ID != d || es[0].Edited != want {
			t.Errorf("%s: %+v", when, es)
		}
	}
	added, code, err := w.AddDevice(t.Context(), p, fleet.NewDevice{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	edited("added, and without a PBX", added.ID, true)
	a := newPBX("SN-0001").request()
	a.Email, a.Password, a.Code = "", "", code.Secret
	g := w.activate(a)
	edited("activated", g.Device, true)
	w.connect(g.Device, 1)
	edited("connected", g.Device, false)
	w.ApplyRoute(fleet.RouteEvent{Route: w.route(g.Device, "r1", fault.PeerSilent), Epoch: "e1", Rev: 2})
	edited("disconnected", g.Device, false)
	w.connect(g.Device, 3)
	if _, err := w.EditDevice(t.Context(), p, g.Device, fleet.DeviceEdit{Comment: ptr("x")}); err != nil {
		t.Fatal(err)
	}
	edited("both at once", g.Device, true)
}

// Whoever watches from above is told of the PBXs below, by whose they are, and of
// none of its own.
func TestWatchBelow(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	_, boss := w.sell(p, "Acme", 5)
	_, agent := w.sell(boss, "Agent", 2)
	above, middle := w.WatchFor(t.Context(), p, fleet.Watched{Below: true}), w.WatchFor(t.Context(), boss, fleet.Watched{Below: true})
	own := w.Watch(t.Context(), p)
	add := func(p fleet.Principal) id.Device {
		t.Helper()
		d, _, err := w.AddDevice(t.Context(), p, fleet.NewDevice{Name: "PBX"})
		if err != nil {
			t.Fatal(err)
		}
		return d.ID
	}
	mine, theirs, deep := add(p), add(boss), add(agent)
	owners := func(ch <-chan fleet.DeviceEvent) map[id.Device]string {
		t.Helper()
		out := make(map[id.Device]string)
		for _, e := range w.told(ch) {
			out[e.Device.ID] = e.Device.Owner
		}
		return out
	}
	if got := owners(above); len(got) != 2 || got[theirs] != "Acme" || got[deep] != "Agent" {
		t.Errorf("from the top: %v", got)
	}
	if got := owners(middle); len(got) != 1 || got[deep] != "Agent" {
		t.Errorf("from the middle: %v", got)
	}
	if got, known := owners(own)[mine]; !known || got != "" {
		t.Errorf("one's own: %q, %v", got, known)
	}
	for _, d := range []id.Device{mine, theirs} {
		if err := w.RemoveDevice(t.Context(), p, d, ""); err != nil {
			t.Fatal(err)
		}
	}
	if es := w.told(above); len(es) != 1 || es[0].Device.ID != theirs || !es[0].Removed {
		t.Errorf("removed: %+v", es)
	}
	// Who may not see the devices is told of none, as in the list.
	tech := p
	tech.Access = fleet.Access{Default: 0}
	blind := w.WatchFor(t.Context(), tech, fleet.Watched{Below: true})
	if _, err := w.EditDevice(t.Context(), agent, deep, fleet.DeviceEdit{Comment: ptr("x")}); err != nil {
		t.Fatal(err)
	}
	if es := w.told(blind); len(es) != 0 {
		t.Errorf("without the right: %+v", es)
	}
}

// A visit's beginning, opening and end are told to who asks for visits, once for
// many, and to the other control nodes; what it asks of the PBX is not.
func TestWatchVisits(t *testing.T) {
	w := newWorld(t)
	notices := make(chan bus.DeviceNotice, 64)
	w.announce = func(n bus.DeviceNotice) { notices <- n }
	w.restart()
	p := w.signIn(owner)
	g := w.activate(newPBX("SN-0001").request())
	w.connect(g.Device, 1)
	w.told(w.Watch(t.Context(), p))
	visits, devices := w.WatchFor(t.Context(), p, fleet.Watched{Visits: true}), w.Watch(t.Context(), p)
	for len(notices) > 0 {
		<-notices
	}
	f := func(when string, want int) {
		t.Helper()
		es := w.told(visits)
		for _, e := range es {
			if !e.Visit || e.Edited || e.Device.ID != g.Device {
				t.Errorf("%s: %+v", when, e)
			}
		}
		if len(es) != want {
			t.Errorf("%s: %d events, want %d", when, len(es), want)
		}
		if es := w.told(devices); len(es) != 0 {
			t.Errorf("%s: who watches devices is told %+v", when, es)
		}
		var places []id.Device
		for len(notices) > 0 {
			if n := <-notices; n.Visit {
				places = append(places, n.Device)
			}
		}
		if places = slices.Compact(places); len(places) != want || want > 0 && places[0] != g.Device {
			t.Errorf("%s: the other nodes are told of %v", when, places)
		}
	}
	start := func() id.Visit {
		t.Helper()
		s, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: g.Device})
		if err != nil {
			t.Fatal(err)
		}
		return s.Visit.ID
	}
	report := func(v id.Visit, kind string) {
		t.Helper()
		if err := w.VisitEvent(t.Context(), bus.VisitEvent{Kind: kind, Visit: v, Relay: "r1", At: w.now(), Requests: 7}); err != nil {
			t.Fatal(err)
		}
	}
	a, b := start(), start()
	f("two at once", 1)
	report(a, "opened")
	f("opened", 1)
	report(a, "opened")
	f("told again", 0)
	report(a, "ended")
	f("ended", 1)
	if err := w.EndVisit(t.Context(), p, b); err != nil {
		t.Fatal(err)
	}
	f("ended by hand", 1)
	start()
	if _, err := w.EndVisitsOf(t.Context(), p, p.User); err != nil {
		t.Fatal(err)
	}
	f("all of a person", 1)
	start()
	w.told(visits)
	for len(notices) > 0 {
		<-notices
	}
	w.wait(token.VisitLife + time.Minute)
	if _, err := w.SweepForTest(t.Context()); err != nil {
		t.Fatal(err)
	}
	f("swept", 1)
}

// What another control node says of a visit reaches who watches here, as does a
// visit to whichever of a site's PBXs serves.
func TestVisitsOfOtherNodes(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	g := w.activate(newPBX("SN-0001").request())
	w.told(w.Watch(t.Context(), p))
	ch := w.WatchFor(t.Context(), p, fleet.Watched{Visits: true})
	for _, n := range []bus.DeviceNotice{
		{From: "other", Visit: true, Device: g.Device, Site: g.Site},
		{From: "other", Visit: true, Site: g.Site},
	} {
		w.Heard(n)
		if es := w.told(ch); len(es) != 1 || es[0].Device.ID != g.Device || !es[0].Visit {
			t.Errorf("%+v: %+v", n, es)
		}
	}
}

// VisitsOn counts what EndVisitsOf would end, and for who may not end them nothing.
func TestVisitsOn(t *testing.T) {
	w := newWorld(t)
	w.addUser("tech@example.com", fleet.RoleTechnician, false)
	tech, boss := w.signIn("tech@example.com"), w.signIn(owner)
	g := w.activate(newPBX("SN-0001").request())
	w.connect(g.Device, 1)
	for _, p := range []fleet.Principal{tech, tech, boss} {
		if _, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: g.Device}); err != nil {
			t.Fatal(err)
		}
	}
	both := []id.User{tech.User, boss.User}
	f := func(p fleet.Principal, oftech, ofboss int) {
		t.Helper()
		got, err := w.VisitsOn(t.Context(), p, both)
		if err != nil || got[tech.User] != oftech || got[boss.User] != ofboss {
			t.Errorf("%s: %v, %v", p.Email, got, err)
		}
	}
	f(boss, 2, 1)
	f(tech, 2, 0)
	_, err := w.VisitsOn(t.Context(), fleet.Principal{}, both)
	wantCode(t, err, fault.SignInNeeded)
	_, err = w.VisitsOn(t.Context(), boss, make([]id.User, 201))
	wantCode(t, err, fault.Invalid)
}
