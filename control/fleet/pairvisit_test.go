package fleet_test

import (
	"slices"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// pairVisit connects the pair, which lets visitors in both ways, and visits its site.
func (w *twins) pairVisit(p fleet.Principal, method string) (primary, secondary fleet.Grant, v token.Visit) {
	w.Helper()
	a, b := w.both()
	for i, g := range []fleet.Grant{a, b} {
		w.logins(g.Device, uint64(i+1), tunnel.Logins{Account: true, Passwordless: true})
		w.allow(w.signIn(owner), g.Device, true)
	}
	s, err := w.StartVisit(w.Context(), p, fleet.VisitRequest{Site: a.Site, Method: method})
	if err != nil {
		w.Fatal(err)
	}
	if s.Visit.Device != "" {
		w.Fatalf("%+v", s.Visit)
	}
	return a, b, s.Visit
}

func (w *twins) regroup(d id.Device, name string) id.Group {
	w.Helper()
	g, err := w.AddGroup(w.Context(), w.signIn(owner), name)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.EditDevice(w.Context(), w.signIn(owner), d, fleet.DeviceEdit{Group: &g.ID}); err != nil {
		w.Fatal(err)
	}
	return g.ID
}

// A visit that follows a pair's active one ends as any other when it may not go on.
func TestPairVisitEnds(t *testing.T) {
	f := func(why, method string, change func(*twins, id.Device) error) {
		t.Helper()
		w := newTwins(t, 1)
		w.addUser("tech@example.com", fleet.RoleTechnician, false)
		_, s, v := w.pairVisit(w.signIn("tech@example.com"), method)
		if err := change(w, s.Device); err != nil {
			t.Fatal(why, err)
		}
		if c := w.revocations()["visit."+string(v.ID)].Code; c != fault.AccessWithdrawn {
			t.Errorf("%s: still in: %q", why, c)
		}
	}
	f("the role may visit nothing", token.MethodAccount, func(w *twins, _ id.Device) error {
		_, err := w.SetRoleRights(w.Context(), w.signIn(owner), fleet.RoleTechnician, fleet.Access{Default: fleet.See}, "")
		return err
	})
	f("one of the two forbids it", token.MethodPasswordless, func(w *twins, d id.Device) error {
		no := false
		_, err := w.EditDevice(w.Context(), w.signIn(owner), d, fleet.DeviceEdit{Passwordless: &no})
		return err
	})
	f("one of the two is where the role may not", token.MethodAccount, func(w *twins, d id.Device) error {
		g, err := w.AddGroup(w.Context(), w.signIn(owner), "Closed")
		if err != nil {
			return err
		}
		_, err = w.SetRoleRights(w.Context(), w.signIn(owner), fleet.RoleTechnician,
			fleet.Access{Default: fleet.See | fleet.VisitAccount, Groups: map[id.Group]fleet.Rights{g.ID: fleet.See}}, "")
		if err != nil {
			return err
		}
		_, err = w.EditDevice(w.Context(), w.signIn(owner), d, fleet.DeviceEdit{Group: &g.ID})
		return err
	})
}

// What one of the two forbids is not to be had by way of the other.
func TestPairVisitNeedsBoth(t *testing.T) {
	w := newTwins(t, 1)
	a, b, _ := w.pairVisit(w.signIn(owner), token.MethodPasswordless)
	w.allow(w.signIn(owner), b.Device, false)
	_, err := w.StartVisit(t.Context(), w.signIn(owner), fleet.VisitRequest{Site: a.Site, Method: token.MethodPasswordless})
	wantCode(t, err, fault.Forbidden)
	_, err = w.StartVisit(t.Context(), w.signIn(owner), fleet.VisitRequest{Device: a.Device, Method: token.MethodPasswordless})
	wantCode(t, err, "")
}

// Who may not see the pair's group sees no visit to it; who sees nothing else
// sees that one.
func TestPairVisitSeen(t *testing.T) {
	f := func(def, in fleet.Rights, want bool) {
		t.Helper()
		w := newTwins(t, 1)
		w.addUser("tech@example.com", fleet.RoleTechnician, false)
		a, b, v := w.pairVisit(w.signIn(owner), token.MethodAccount)
		g := w.regroup(a.Device, "Ours")
		if _, err := w.EditDevice(t.Context(), w.signIn(owner), b.Device, fleet.DeviceEdit{Group: &g}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.SetRoleRights(t.Context(), w.signIn(owner), fleet.RoleTechnician, fleet.Access{Default: def, Groups: map[id.Group]fleet.Rights{g: in}}, ""); err != nil {
			t.Fatal(err)
		}
		page, err := w.Visits(t.Context(), w.signIn("tech@example.com"), fleet.VisitQuery{})
		listed := slices.ContainsFunc(page.Items, func(x fleet.Visit) bool { return x.ID == v.ID })
		if err != nil || listed != want {
			t.Errorf("listed: %v, %v", listed, err)
		}
		code := fault.NotFound
		if want {
			code = fault.Forbidden
		}
		wantCode(t, w.EndVisit(t.Context(), w.signIn("tech@example.com"), v.ID), code)
	}
	f(fleet.See, 0, false)
	f(0, fleet.See, true)
}

// A PBX that names another one, and claims to serve, gets none of its visitors
// until it is named back.
func TestNobodyTakesAStrangersVisitors(t *testing.T) {
	w := newTwins(t, 2)
	victim, err1 := w.member(primarySN, fleet.HotStandby{})
	intruder, err2 := w.member(secondarySN, pairFacts(primary, active, primarySN, 1<<40))
	if err1 != nil || err2 != nil || intruder.Site != victim.Site {
		t.Fatal(err1, err2, intruder.Site)
	}
	d, err := w.SiteDevice(t.Context(), w.signIn(owner), victim.Site)
	if err != nil || d.ID != victim.Device {
		t.Errorf("%s serves, %v", d.ID, err)
	}
}

// Where one of a pair is removed the other one serves; with the last one all ends.
func TestPairVisitRemoved(t *testing.T) {
	w := newTwins(t, 1)
	a, b, v := w.pairVisit(w.signIn(owner), token.MethodAccount)
	wantCode(t, w.RemoveDevice(t.Context(), w.signIn(owner), a.Device, ""), "")
	if _, over := w.revocations()["visit."+string(v.ID)]; over {
		t.Error("over")
	}
	wantCode(t, w.RemoveDevice(t.Context(), w.signIn(owner), b.Device, ""), "")
	if w.revocations()["visit."+string(v.ID)].Code != fault.DeviceRemoved {
		t.Error("goes on")
	}
}
