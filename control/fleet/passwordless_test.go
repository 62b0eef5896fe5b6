package fleet_test

import (
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// logins is a PBX's word on how it lets visitors in.
func (w *world) logins(d id.Device, rev uint64, l tunnel.Logins) {
	r := w.route(d, "r1", "")
	r.Logins = l
	w.ApplyRoute(fleet.RouteEvent{Route: r, Epoch: "e1", Rev: rev})
}

func (w *world) allow(p fleet.Principal, d id.Device, yes bool) {
	w.Helper()
	if _, err := w.EditDevice(w.Context(), p, d, fleet.DeviceEdit{Passwordless: &yes}); err != nil {
		w.Fatal(err)
	}
}

func TestPasswordlessNeedsBothSides(t *testing.T) {
	const here, there = "My Devices", "Remote Management page"
	w := newWorld(t)
	p := w.signIn(owner)
	d := w.activate(newPBX("SN-0001").request()).Device
	try := func() (fleet.VisitStart, error) {
		return w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: d, Method: token.MethodPasswordless})
	}
	rev := uint64(0)
	f := func(provider, pbx bool, says ...string) {
		t.Helper()
		rev++
		w.allow(p, d, provider)
		w.logins(d, rev, tunnel.Logins{Passwordless: pbx, AutoLogout: 20})
		v, err := try()
		if len(says) == 0 {
			if err != nil || v.Visit.Method != token.MethodPasswordless || v.Visit.Idle != 20*time.Minute {
				t.Errorf("both allow it: %+v, %v", v, err)
			}
			return
		}
		wantCode(t, err, fault.Forbidden)
		for _, part := range []string{here, there} {
			if got, want := strings.Contains(err.Error(), part), strings.Contains(strings.Join(says, " "), part); got != want {
				t.Errorf("provider %v, PBX %v: %v", provider, pbx, err)
			}
		}
		if e := w.auditPage().Items[0]; e.Action != "visit_start" || e.Outcome != string(fault.Forbidden) {
			t.Errorf("audit %+v", e)
		}
	}
	f(false, false, here, there)
	f(true, false, there)
	f(false, true, here)
	f(true, true)
	f(true, false, there) // and off again

	// The account login needs neither.
	if _, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: d}); err != nil {
		t.Error(err)
	}
	// An auditor may not, whatever the switches say.
	f(true, true)
	w.addUser("audit@example.com", fleet.RoleAuditor, false)
	_, err := w.StartVisit(t.Context(), w.signIn("audit@example.com"), fleet.VisitRequest{Device: d, Method: token.MethodPasswordless})
	wantCode(t, err, fault.Forbidden)
}

func TestIdleTimeIsThePBXs(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	d := w.activate(newPBX("SN-0001").request()).Device
	w.allow(p, d, true)
	for n, c := range []struct {
		minutes int
		want    time.Duration
	}{{0, 15 * time.Minute}, {5, 5 * time.Minute}, {120, 2 * time.Hour}, {1, 5 * time.Minute}, {1000, 2 * time.Hour}} {
		w.logins(d, uint64(n+1), tunnel.Logins{Passwordless: true, AutoLogout: c.minutes})
		v, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: d, Method: token.MethodPasswordless})
		if err != nil || v.Visit.Idle != c.want {
			t.Errorf("%d minutes: idle %v, %v", c.minutes, v.Visit.Idle, err)
		}
		if a, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: d}); err != nil || a.Visit.Idle != 15*time.Minute {
			t.Errorf("account login: idle %v, %v", a.Visit.Idle, err)
		}
	}
}

// The PBX's staff ended it at one relay: it ends at all of them.
func TestVisitEndedByThePBX(t *testing.T) {
	w, p, v := visited(t)
	w.event(v.Visit.ID, "opened", nil)
	for range 2 {
		w.event(v.Visit.ID, "ended", func(e *bus.VisitEvent) { e.Code = fault.EndedByPBX })
	}
	if got := w.visit(p); got.EndCode != fault.EndedByPBX || got.Ended.IsZero() {
		t.Errorf("%+v", got)
	}
	r, ok := w.revocations()["visit."+string(v.Visit.ID)]
	if !ok || r.Code != fault.EndedByPBX || !r.Until.Equal(v.Visit.Expires) {
		t.Errorf("revocations %+v", w.revocations())
	}
	n := 0
	for _, e := range w.auditPage().Items {
		if e.Action == "visit_end" {
			n++
			if !strings.Contains(e.Actor, "staff of PBX") || !strings.Contains(e.Detail, string(fault.EndedByPBX)) {
				t.Errorf("audit %+v", e)
			}
		}
	}
	if n != 1 {
		t.Errorf("%d entries of its end", n)
	}
}

// So it is by its visitor; what ended by itself is that relay's alone.
func TestVisitEndedByItsVisitor(t *testing.T) {
	for code, all := range map[fault.Code]bool{fault.EndedByVisitor: true, fault.VisitEnded: false, fault.VisitIdle: false, fault.LoginFailed: false} {
		w, _, v := visited(t)
		w.event(v.Visit.ID, "ended", func(e *bus.VisitEvent) { e.Code = code })
		if r, ok := w.revocations()["visit."+string(v.Visit.ID)]; ok != all || all && r.Code != code {
			t.Errorf("%s: revocations %+v", code, w.revocations())
		}
	}
}

// What the provider no longer allows is over.
func TestForbiddingEndsPasswordlessVisits(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	d := w.activate(newPBX("SN-0001").request()).Device
	w.allow(p, d, true)
	w.logins(d, 1, tunnel.Logins{Passwordless: true})
	super, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: d, Method: token.MethodPasswordless})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: d}); err != nil {
		t.Fatal(err)
	}
	comment := "no change of that"
	if _, err := w.EditDevice(t.Context(), p, d, fleet.DeviceEdit{Comment: &comment}); err != nil || len(w.revocations()) != 0 {
		t.Errorf("%v, %v", w.revocations(), err)
	}
	w.allow(p, d, false)
	if got := w.revocations(); len(got) != 1 || got["visit."+string(super.Visit.ID)].Code != fault.AccessWithdrawn {
		t.Errorf("revoked %v", got)
	}
	page, err := w.Visits(t.Context(), p, fleet.VisitQuery{Live: true})
	if err != nil || len(page.Items) != 1 || page.Items[0].Method != token.MethodAccount {
		t.Errorf("%+v, %v", page, err)
	}
}

// What a PBX offers is kept, and watchers are told when it changes.
func TestLoginsAreKept(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	d := w.activate(newPBX("SN-0001").request()).Device
	want := tunnel.Logins{Account: true, Passwordless: true, AutoLogout: 30}
	w.logins(d, 1, tunnel.Logins{})
	w.logins(d, 2, want)
	if got, err := w.Device(t.Context(), p, d); err != nil || got.Presence.Logins != want {
		t.Errorf("%+v, %v", got.Presence, err)
	}
	if err := w.FlushForTest(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if got, err := w.Device(t.Context(), p, d); err != nil || got.Presence.Logins != want {
		t.Errorf("after a restart: %+v, %v", got.Presence, err)
	}
}
