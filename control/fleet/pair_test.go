package fleet_test

import (
	"slices"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// twins are the two servers of a pair, as their agents speak for them.
type twins struct {
	*world
	rev uint64
}

const (
	primarySN, secondarySN = id.Serial("SN-PRIM"), id.Serial("SN-SECO")
	primary, secondary     = "primary", "secondary"
	active, standbyRole    = "active", "standby"
)

func pairFacts(kind, role string, peer id.Serial, claim uint64) fleet.HotStandby {
	return fleet.HotStandby{Enabled: true, Type: kind, Role: role, Peer: peer, Claim: claim}
}

// member activates one of the two; h may be the zero value.
func (w *twins) member(sn id.Serial, h fleet.HotStandby) (fleet.Grant, error) {
	a := newPBX(sn).request()
	a.HotStandby = h
	return w.Activate(w.Context(), a)
}

// both activates the pair.
func (w *twins) both() (p, s fleet.Grant) {
	w.Helper()
	p, err1 := w.member(primarySN, pairFacts(primary, active, secondarySN, 1))
	s, err2 := w.member(secondarySN, pairFacts(secondary, standbyRole, primarySN, 1))
	if err1 != nil || err2 != nil {
		w.Fatal(err1, err2)
	}
	return p, s
}

// says is an agent's status over its tunnel; h nil: it is single.
func (w *twins) says(d id.Device, h *tunnel.Standby) {
	w.Helper()
	w.rev++
	r := w.route(d, "r1", "")
	r.Standby = h
	w.ApplyRoute(fleet.RouteEvent{Route: r, Epoch: "e1", Rev: w.rev})
	if err := w.Facts(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func (w *twins) device(d id.Device) fleet.Device {
	w.Helper()
	x, err := w.Device(w.Context(), w.signIn(owner), d)
	if err != nil {
		w.Fatal(err)
	}
	return x
}

func (w *twins) used() int {
	w.Helper()
	s, err := w.Subscription(w.Context(), w.signIn(owner))
	if err != nil {
		w.Fatal(err)
	}
	return s.Used
}

func newTwins(t *testing.T, connections int) *twins {
	w := &twins{world: newWorld(t)}
	w.license = license.License{Plan: "standard", Connections: connections}
	w.SetLeases(map[id.Relay]bool{"r1": true})
	return w
}

func TestPairTakesOneConnection(t *testing.T) {
	w := newTwins(t, 1)
	p, s := w.both()
	if p.Site != s.Site || p.Device == s.Device || w.used() != 1 {
		t.Errorf("%+v, %+v; %d used", p, s, w.used())
	}
	if a, b := w.device(p.Device), w.device(s.Device); a.Mark != fleet.MarkActive || b.Mark != fleet.MarkStandby || a.Peer != b.ID || b.Peer != a.ID || !b.Joined.IsZero() {
		t.Errorf("%+v\n%+v", a, b)
	}
	if len(w.revocations()) != 0 {
		t.Errorf("revoked: %v", w.revocations())
	}
	list, err := w.Devices(t.Context(), w.signIn(owner), fleet.DeviceQuery{})
	if err != nil || len(list.Items) != 2 {
		t.Errorf("both are listed: %+v, %v", list.Items, err)
	}
}

// The roles swap; what was long on its way, and what comes twice, is nothing.
func TestRolesSwap(t *testing.T) {
	w := newTwins(t, 1)
	p, s := w.both()
	w.says(p.Device, &tunnel.Standby{Type: primary, Role: active, Peer: secondarySN, Claim: 1})
	w.says(s.Device, &tunnel.Standby{Type: secondary, Role: standbyRole, Peer: primarySN, Claim: 1})
	serves := func(want id.Device, alarm int) {
		t.Helper()
		d, err := w.SiteDevice(t.Context(), w.signIn(owner), p.Site)
		o, err2 := w.Overview(t.Context(), w.signIn(owner))
		if err != nil || err2 != nil || d.ID != want || d.Mark != fleet.MarkActive || o.Alarms != alarm {
			t.Errorf("%s serves (%s), want %s; %d alarms, %v %v", d.ID, d.Mark, want, o.Alarms, err, err2)
		}
	}
	serves(p.Device, 0)
	w.says(s.Device, &tunnel.Standby{Type: secondary, Role: active, Peer: primarySN, Claim: 5})
	serves(s.Device, 1) // the primary has not said that it is not
	w.says(p.Device, &tunnel.Standby{Type: primary, Role: standbyRole, Peer: secondarySN, Claim: 6})
	serves(s.Device, 0)
	w.says(p.Device, &tunnel.Standby{Type: primary, Role: active, Peer: secondarySN, Claim: 2}) // late
	serves(s.Device, 0)
	w.says(p.Device, &tunnel.Standby{Type: primary, Role: active, Peer: secondarySN, Claim: 9})
	serves(p.Device, 1)
	events, err := w.DeviceEvents(t.Context(), w.signIn(owner), p.Device, "", 0)
	if err != nil || !slices.ContainsFunc(events.Items, func(c fleet.StatusChange) bool { return c.Kind == fleet.EventRolesSwapped }) {
		t.Errorf("%+v, %v", events.Items, err)
	}
	if w.used() != 1 || len(w.revocations()) != 0 {
		t.Errorf("%d used, %v", w.used(), w.revocations())
	}
}

// Two single PBXs become a pair while they run: one moves to the other's site,
// and its connection is free.
func TestSinglesBecomeAPair(t *testing.T) {
	w := newTwins(t, 2)
	p, err1 := w.member(primarySN, fleet.HotStandby{})
	s, err2 := w.member(secondarySN, fleet.HotStandby{})
	if err1 != nil || err2 != nil || w.used() != 2 {
		t.Fatal(err1, err2, w.used())
	}
	w.says(s.Device, &tunnel.Standby{Type: secondary, Role: standbyRole, Peer: primarySN, Claim: 1})
	if d := w.device(s.Device); d.Site != p.Site || d.Joined.IsZero() || w.used() != 1 {
		t.Errorf("%+v, %d used", d, w.used())
	}
	if r := w.revocations()["device."+string(s.Device)]; r.Code != fault.SiteMoved || w.admits(s) {
		t.Errorf("the old site's pass holds: %v", r)
	}
	w.wait(9 * time.Minute)
	w.says(p.Device, &tunnel.Standby{Type: primary, Role: active, Peer: secondarySN, Claim: 1})
	w.wait(time.Hour)
	if err := w.SweepPairs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := w.device(s.Device); d.Site != p.Site || !d.Joined.IsZero() || d.Mark != fleet.MarkStandby || w.used() != 1 {
		t.Errorf("%+v, %d used", d, w.used())
	}
}

// Who is not named back in ten minutes parts, and stays apart.
func TestNotNamedBack(t *testing.T) {
	w := newTwins(t, 2)
	p, err1 := w.member(primarySN, fleet.HotStandby{})
	s, err2 := w.member(secondarySN, pairFacts(secondary, standbyRole, primarySN, 1))
	if err1 != nil || err2 != nil || s.Site != p.Site || w.used() != 1 {
		t.Fatal(err1, err2, s.Site, w.used())
	}
	w.wait(10*time.Minute - time.Second)
	if err := w.SweepPairs(t.Context()); err != nil || w.device(s.Device).Site != p.Site {
		t.Fatalf("too early: %v", err)
	}
	w.wait(2 * time.Second)
	if err := w.SweepPairs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := w.device(s.Device); d.Site == p.Site || d.OverCapacity || w.used() != 2 || w.admits(s) {
		t.Errorf("%+v, %d used", d, w.used())
	}
	w.says(s.Device, &tunnel.Standby{Type: secondary, Role: standbyRole, Peer: primarySN, Claim: 2})
	if d := w.device(s.Device); d.Site == p.Site {
		t.Error("it joined again, unnamed")
	}
	w.says(p.Device, &tunnel.Standby{Type: primary, Role: active, Peer: secondarySN, Claim: 2})
	if a, b := w.device(p.Device), w.device(s.Device); a.Site != b.Site || w.used() != 1 {
		t.Errorf("named back at last: %s and %s, %d used", a.Site, b.Site, w.used())
	}
}

// A pair splits where there is no second connection: the site stays with who
// served, the other one is over capacity until there is room.
func TestSplitPairOverCapacity(t *testing.T) {
	w := newTwins(t, 1)
	p, s := w.both()
	w.says(s.Device, &tunnel.Standby{Type: secondary, Role: active, Peer: primarySN, Claim: 5})
	w.says(p.Device, &tunnel.Standby{Type: primary, Role: standbyRole, Peer: secondarySN, Claim: 6})
	w.says(p.Device, nil) // switched off on the primary
	a, b := w.device(p.Device), w.device(s.Device)
	if b.Site != p.Site || a.Site == p.Site || !a.OverCapacity || b.OverCapacity || w.used() != 1 || a.Mark != "" || b.Mark != "" {
		t.Errorf("%+v\n%+v\n%d used", a, b, w.used())
	}
	_, err := w.StartVisit(t.Context(), w.signIn(owner), fleet.VisitRequest{Device: a.ID})
	wantCode(t, err, fault.OverCapacity)
	if g, err := w.member(primarySN, fleet.HotStandby{}); err != nil || !g.OverCapacity {
		t.Errorf("its agent is not told: %+v, %v", g, err)
	}
	w.license.Connections = 2
	void := w.device(a.ID).Void
	if err := w.SweepPairs(t.Context()); err != nil || w.device(a.ID).OverCapacity || w.used() != 2 {
		t.Errorf("promoted: %+v, %d used, %v", w.device(a.ID), w.used(), err)
	}
	if !w.device(a.ID).Void.After(void) {
		t.Error("its agent has no reason to ask again")
	}
}

func TestRemoveOneOfAPair(t *testing.T) {
	w := newTwins(t, 1)
	p, s := w.both()
	if err := w.RemoveDevice(t.Context(), w.signIn(owner), p.Device, ""); err != nil {
		t.Fatal(err)
	}
	if d := w.device(s.Device); d.Site != p.Site || d.Mark != "" || d.Peer != "" || w.used() != 1 {
		t.Errorf("%+v, %d used", d, w.used())
	}
	wantCode(t, w.RemoveDevice(t.Context(), w.signIn(owner), s.Device, ""), "")
	if w.used() != 0 {
		t.Errorf("%d used", w.used())
	}
}

// A visit to the site names no device, and follows; one to a device stays.
func TestVisitsOfAPair(t *testing.T) {
	w := newTwins(t, 1)
	p, s := w.both()
	w.says(p.Device, &tunnel.Standby{Type: primary, Role: active, Peer: secondarySN, Claim: 1})
	w.says(s.Device, &tunnel.Standby{Type: secondary, Role: standbyRole, Peer: primarySN, Claim: 1})
	for _, c := range []struct {
		r    fleet.VisitRequest
		want id.Device
	}{{fleet.VisitRequest{Site: p.Site}, ""}, {fleet.VisitRequest{Device: s.Device}, s.Device}, {fleet.VisitRequest{Device: p.Device}, p.Device}} {
		c.r.Method = token.MethodAccount
		v, err := w.StartVisit(t.Context(), w.signIn(owner), c.r)
		if err != nil || v.Visit.Device != c.want || v.Visit.Site != p.Site {
			t.Errorf("%+v: %+v, %v", c.r, v.Visit, err)
		}
	}
	_, err := w.StartVisit(t.Context(), w.signIn(owner), fleet.VisitRequest{})
	wantCode(t, err, fault.Invalid)
	w.reseller("r@example.com", 1)
	_, err = w.StartVisit(t.Context(), w.signIn("r@example.com"), fleet.VisitRequest{Site: p.Site})
	wantCode(t, err, fault.NotFound)
}

// Strangers cannot join: not from another account, not a third one, not
// oneself.
func TestWhoCannotJoin(t *testing.T) {
	w := newTwins(t, 9)
	p, _ := w.both()
	w.reseller("r@example.com", 3)
	a := newPBX("SN-THEIRS").request()
	a.Email, a.HotStandby = "r@example.com", pairFacts(secondary, active, primarySN, 99)
	g, err := w.Activate(t.Context(), a)
	if err != nil || g.Site == p.Site {
		t.Errorf("from another account: %+v, %v", g, err)
	}
	g, err = w.member("SN-THIRD", pairFacts(secondary, active, primarySN, 99))
	if err != nil || g.Site == p.Site {
		t.Errorf("a third one: %+v, %v", g, err)
	}
	w.says(g.Device, &tunnel.Standby{Type: primary, Role: active, Peer: "SN-THIRD", Claim: 100})
	if d := w.device(g.Device); d.Peer != "" {
		t.Errorf("its own peer: %+v", d)
	}
	if d, err := w.SiteDevice(t.Context(), w.signIn(owner), p.Site); err != nil || d.ID != p.Device {
		t.Errorf("the pair: %+v, %v", d, err)
	}
}
