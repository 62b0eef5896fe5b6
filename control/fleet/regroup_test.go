package fleet_test

import (
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Who is in a PBX that is moved to where the role may not visit it is out, and
// who watches lists anew.
func TestMoveToAnotherGroup(t *testing.T) {
	w := newGrouped(t)
	w.set(fleet.RoleTechnician, fleet.Access{Default: fleet.See | fleet.VisitAccount, Groups: map[id.Group]fleet.Rights{w.group.ID: 0}})
	tech := w.as(fleet.RoleTechnician)
	v, err := w.StartVisit(t.Context(), tech, fleet.VisitRequest{Device: w.plain})
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.StartVisit(t.Context(), w.owner, fleet.VisitRequest{Device: w.plain})
	if err != nil {
		t.Fatal(err)
	}
	told, all := w.Watch(t.Context(), tech), w.Watch(t.Context(), w.owner)
	if _, err := w.EditDevice(t.Context(), w.owner, w.plain, fleet.DeviceEdit{Group: &w.group.ID}); err != nil {
		t.Fatal(err)
	}
	if r := w.revocations(); r["visit."+string(v.Visit.ID)].Code != fault.AccessWithdrawn || r["visit."+string(other.Visit.ID)].Code != "" {
		t.Errorf("%v", r)
	}
	if _, open := <-told; open {
		t.Error("still watches")
	}
	select {
	case e := <-all:
		t.Errorf("%+v", e)
	default:
	}
}

// Without its group a PBX is where the default counts.
func TestRemoveGroupEndsVisits(t *testing.T) {
	w := newGrouped(t)
	w.set(fleet.RoleTechnician, fleet.Access{Default: fleet.See, Groups: map[id.Group]fleet.Rights{w.group.ID: fleet.See | fleet.VisitAccount}})
	v, err := w.StartVisit(t.Context(), w.as(fleet.RoleTechnician), fleet.VisitRequest{Device: w.in})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RemoveGroup(t.Context(), w.owner, w.group.ID, ""); err != nil {
		t.Fatal(err)
	}
	if w.revocations()["visit."+string(v.Visit.ID)].Code != fault.AccessWithdrawn {
		t.Error("still in")
	}
}

// Nobody gains a right by moving a PBX, or by removing its group.
func TestMovesThatGiveRights(t *testing.T) {
	w := newGrouped(t)
	const all = fleet.AllRights
	w.set(fleet.RoleAdmin, fleet.Access{Default: all, Groups: map[id.Group]fleet.Rights{w.group.ID: fleet.See | fleet.ManageDevices}})
	admin := w.as(fleet.RoleAdmin)
	_, err := w.EditDevice(t.Context(), admin, w.in, fleet.DeviceEdit{Group: ptr(id.Group(""))})
	wantField(t, err, fault.Forbidden, "group")
	wantCode(t, w.RemoveGroup(t.Context(), admin, w.group.ID, ""), fault.Forbidden)
	if _, err := w.EditDevice(t.Context(), admin, w.plain, fleet.DeviceEdit{Group: &w.group.ID}); err != nil {
		t.Errorf("to where one may do less: %v", err)
	}
	if d, err := w.Device(t.Context(), w.owner, w.in); err != nil || d.Group != w.group.ID {
		t.Errorf("%+v, %v", d, err)
	}
}
