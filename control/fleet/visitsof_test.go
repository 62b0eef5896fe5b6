package fleet_test

import (
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func TestEndVisitsOf(t *testing.T) {
	w := newWorld(t)
	w.addUser("tech@example.com", fleet.RoleTechnician, false)
	w.addUser("tech2@example.com", fleet.RoleTechnician, false)
	w.addUser("other@example.com", fleet.RoleOwner, true)
	tech, boss := w.signIn("tech@example.com"), w.signIn(owner)
	g := w.activate(newPBX("SN-0001").request())
	w.connect(g.Device, 1)
	visit := func(p fleet.Principal) id.Visit {
		t.Helper()
		w.wait(time.Millisecond)
		v, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: g.Device})
		if err != nil {
			t.Fatal(err)
		}
		return v.Visit.ID
	}
	a, b, mine := visit(tech), visit(tech), visit(boss)
	refused := func(p fleet.Principal, of id.User, want fault.Code) {
		t.Helper()
		n, err := w.EndVisitsOf(t.Context(), p, of)
		if wantCode(t, err, want); n != 0 {
			t.Errorf("%d ended", n)
		}
	}
	refused(w.signIn("tech2@example.com"), tech.User, fault.Forbidden)
	refused(w.signIn("other@example.com"), tech.User, fault.NotFound)
	refused(boss, id.NewUser(), fault.NotFound)
	refused(fleet.Principal{}, tech.User, fault.SignInNeeded)
	if len(w.revocations()) != 0 {
		t.Errorf("%v", w.revocations())
	}
	for i, want := range []int{2, 0} { // and none are left
		if n, err := w.EndVisitsOf(t.Context(), boss, tech.User); err != nil || n != want {
			t.Errorf("call %d: %d, %v", i, n, err)
		}
	}
	for _, v := range []id.Visit{a, b} {
		if r := w.revocations()["visit."+string(v)]; r.Code != fault.EndedByStaff || !r.Until.After(w.now()) {
			t.Errorf("%s: %+v", v, r)
		}
	}
	page, err := w.Visits(t.Context(), boss, fleet.VisitQuery{Live: true})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != mine {
		t.Errorf("still on: %+v, %v", page.Items, err)
	}
	log, err := w.Audit(t.Context(), boss, fleet.AuditQuery{Action: fleet.ActionVisitEnd, Outcome: "ok", Search: string(a)})
	if err != nil || len(log.Items) != 1 || log.Items[0].Actor != owner {
		t.Errorf("audit %+v, %v", log.Items, err)
	}
	// One's own, whatever the role.
	c := visit(tech)
	if n, err := w.EndVisitsOf(t.Context(), tech, tech.User); err != nil || n != 1 || w.revocations()["visit."+string(c)].Code == "" {
		t.Errorf("%d, %v", n, err)
	}
}

// What a list of visits is narrowed by.
func TestVisitsSelected(t *testing.T) {
	w := newWorld(t)
	w.addUser("tech@example.com", fleet.RoleTechnician, false)
	tech, boss := w.signIn("tech@example.com"), w.signIn(owner)
	one, two := w.activate(newPBX("SN-0001").request()).Device, w.activate(newPBX("SN-0002").request()).Device
	var first id.Visit
	for i, s := range []struct {
		p fleet.Principal
		d id.Device
	}{{tech, one}, {tech, two}, {boss, one}} {
		w.connect(s.d, uint64(i+1))
		w.wait(time.Second)
		v, err := w.StartVisit(t.Context(), s.p, fleet.VisitRequest{Device: s.d})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = v.Visit.ID
		}
	}
	if err := w.EndVisit(t.Context(), boss, first); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		q    fleet.VisitQuery
		want int
	}{
		{fleet.VisitQuery{}, 3},
		{fleet.VisitQuery{Live: true}, 2},
		{fleet.VisitQuery{Device: one}, 2},
		{fleet.VisitQuery{User: tech.User}, 2},
		{fleet.VisitQuery{User: tech.User, Device: one}, 1},
		{fleet.VisitQuery{User: tech.User, Device: one, Live: true}, 0},
		{fleet.VisitQuery{User: id.NewUser()}, 0},
	} {
		page, err := w.Visits(t.Context(), boss, c.q)
		if err != nil || len(page.Items) != c.want || page.Total != c.want || page.More {
			t.Errorf("%+v: %d of %d, %v", c.q, len(page.Items), page.Total, err)
		}
	}
}
