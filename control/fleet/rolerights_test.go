package fleet_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// grouped is a world with a connected device without a group, and one in a
// group, both of which let in without a password.
type grouped struct {
	*world
	owner fleet.Principal
	group fleet.Group
	plain id.Device
	in    id.Device
}

func newGrouped(t *testing.T) *grouped {
	t.Helper()
	w := &grouped{world: newWorld(t)}
	w.owner = w.signIn(owner)
	var err error
	if w.group, err = w.AddGroup(t.Context(), w.owner, "North"); err != nil {
		t.Fatal(err)
	}
	for i, d := range []*id.Device{&w.plain, &w.in} {
		*d = w.activate(newPBX(id.Serial(fmt.Sprintf("SN-000%d", i))).request()).Device
		r := w.route(*d, "r1", "")
		r.Logins = tunnel.Logins{Account: true, Passwordless: true}
		w.ApplyRoute(fleet.RouteEvent{Route: r, Epoch: "e1", Rev: uint64(i + 1)})
	}
	for d, g := range map[id.Device]id.Group{w.plain: "", w.in: w.group.ID} {
		if _, err := w.EditDevice(t.Context(), w.owner, d, fleet.DeviceEdit{Group: &g, Passwordless: ptr(true)}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *grouped) set(r fleet.Role, a fleet.Access) {
	w.Helper()
	if _, err := w.SetRoleRights(w.Context(), w.owner, r, a, ""); err != nil {
		w.Fatalf("%s %v: %v", r, a, err)
	}
}

// What each right lets do with a PBX in a group, whatever holds elsewhere.
func TestRightsMatrix(t *testing.T) {
	w := newGrouped(t)
	const visits = fleet.VisitAccount | fleet.VisitPasswordless
	for _, c := range []struct {
		may                                fleet.Rights
		see, account, passwordless, manage fault.Code
	}{
		{0, fault.NotFound, fault.NotFound, fault.NotFound, fault.NotFound},
		{fleet.See, "", fault.Forbidden, fault.Forbidden, fault.Forbidden},
		{fleet.See | fleet.VisitAccount, "", "", fault.Forbidden, fault.Forbidden},
		{fleet.See | fleet.VisitPasswordless, "", fault.Forbidden, "", fault.Forbidden},
		{fleet.See | visits, "", "", "", fault.Forbidden},
		{fleet.See | fleet.ManageDevices, "", fault.Forbidden, fault.Forbidden, ""},
		{fleet.See | visits | fleet.ManageDevices, "", "", "", ""},
	} {
		for _, here := range []bool{false, true} { // by the group's own rights, or by the default
			a, d, other := fleet.Access{Default: c.may, Groups: map[id.Group]fleet.Rights{w.group.ID: fleet.AllRights &^ fleet.ManagePeople}}, w.plain, w.in
			if here {
				a, d, other = fleet.Access{Default: fleet.AllRights &^ fleet.ManagePeople, Groups: map[id.Group]fleet.Rights{w.group.ID: c.may}}, w.in, w.plain
			}
			w.set(fleet.RoleTechnician, a)
			p := w.as(fleet.RoleTechnician)
			check := func(what string, err error, want fault.Code) {
				t.Helper()
				if fault.CodeOf(err) != want {
					t.Errorf("%v, in a group %v: %s: %v, want %q", c.may, here, what, err, want)
				}
			}
			_, err := w.Device(t.Context(), p, d)
			check("see", err, c.see)
			_, err = w.DeviceEvents(t.Context(), p, d, "", 0)
			check("timeline", err, c.see)
			list, err := w.Devices(t.Context(), p, fleet.DeviceQuery{})
			if err != nil || slices.ContainsFunc(list.Items, func(x fleet.Device) bool { return x.ID == d }) != (c.see == "") ||
				!slices.ContainsFunc(list.Items, func(x fleet.Device) bool { return x.ID == other }) || list.Total != len(list.Items) {
				t.Errorf("%v, in a group %v: lists %d of %d, %v", c.may, here, len(list.Items), list.Total, err)
			}
			_, err = w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: d})
			check("visit", err, c.account)
			_, err = w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: d, Method: token.MethodPasswordless})
			check("visit without a password", err, c.passwordless)
			_, err = w.EditDevice(t.Context(), p, d, fleet.DeviceEdit{Comment: ptr("x")})
			check("edit", err, c.manage)
			if c.manage != "" {
				check("remove", w.RemoveDevice(t.Context(), p, d, ""), c.manage)
			}
		}
	}
}

// Visits of PBXs that one may not see are hidden, but for one's own.
func TestVisitsOfHiddenDevices(t *testing.T) {
	w := newGrouped(t)
	p := w.as(fleet.RoleTechnician)
	mine, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: w.in})
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[id.Device]id.Visit{}
	for _, d := range []id.Device{w.in, w.plain} {
		v, err := w.StartVisit(t.Context(), w.owner, fleet.VisitRequest{Device: d})
		if err != nil {
			t.Fatal(err)
		}
		theirs[d] = v.Visit.ID
	}
	w.set(fleet.RoleTechnician, fleet.Access{Default: fleet.See, Groups: map[id.Group]fleet.Rights{w.group.ID: 0}})
	w.set(fleet.RoleAdmin, fleet.Access{Default: fleet.See, Groups: map[id.Group]fleet.Rights{w.group.ID: 0}})
	if w.revocations()["visit."+string(mine.Visit.ID)].Code != fault.AccessWithdrawn || len(w.revocations()) != 1 {
		t.Errorf("ended: %v", w.revocations())
	}
	p, err = w.Authenticate(t.Context(), w.session(p.Email))
	if err != nil {
		t.Fatal(err)
	}
	page, err := w.Visits(t.Context(), p, fleet.VisitQuery{})
	var got []id.Visit
	for _, v := range page.Items {
		got = append(got, v.ID)
	}
	want := []id.Visit{mine.Visit.ID, theirs[w.plain]}
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) || page.Total != 2 {
		t.Errorf("%v of %d, want %v, %v", got, page.Total, want, err)
	}
	admin := w.as(fleet.RoleAdmin)
	wantCode(t, w.EndVisit(t.Context(), admin, theirs[w.in]), fault.NotFound)
	wantCode(t, w.EndVisit(t.Context(), p, theirs[w.plain]), fault.Forbidden)
	if err := w.EndVisit(t.Context(), admin, theirs[w.plain]); err != nil {
		t.Error(err)
	}
}

func (w *world) session(email string) string {
	w.Helper()
	s, err := w.SignIn(w.Context(), email, password, addr(1))
	if err != nil {
		w.Fatal(err)
	}
	return s.Token
}

// A watcher is told of what it may see, and sent away when that changes.
func TestWatchByRights(t *testing.T) {
	w := newGrouped(t)
	w.set(fleet.RoleTechnician, fleet.Access{Default: fleet.See, Groups: map[id.Group]fleet.Rights{w.group.ID: 0}})
	ch := w.Watch(t.Context(), w.as(fleet.RoleTechnician))
	for _, d := range []id.Device{w.in, w.plain} {
		if _, err := w.EditDevice(t.Context(), w.owner, d, fleet.DeviceEdit{Comment: ptr("seen")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.FlushForTest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := <-ch; e.Device.ID != w.plain {
		t.Errorf("%+v", e)
	}
	w.set(fleet.RoleAuditor, fleet.Access{}) // another role's
	select {
	case e := <-ch:
		t.Errorf("%+v", e)
	default:
	}
	w.set(fleet.RoleTechnician, fleet.Access{})
	if e, open := <-ch; open {
		t.Errorf("still told: %+v", e)
	}
}

// What another control node has changed ends a watch too, a little later.
func TestWatchersAreReviewed(t *testing.T) {
	w := newWorld(t)
	tech, admin, gone := w.as(fleet.RoleTechnician), w.as(fleet.RoleAdmin), w.as(fleet.RoleAdmin)
	stays := w.Watch(t.Context(), admin)
	go1, go2 := w.Watch(t.Context(), tech), w.Watch(t.Context(), gone)
	w.tx(func(tx fleet.Tx) error {
		return errors.Join(tx.SetRoleRights(tech.Account, fleet.RoleTechnician, map[id.Group]fleet.Rights{"": 0}), tx.RemoveUser(gone.User))
	})
	if err := w.ReviewForTest(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, ch := range []<-chan fleet.DeviceEvent{go1, go2} {
		if _, open := <-ch; open {
			t.Error("still told")
		}
	}
	select {
	case _, open := <-stays:
		t.Errorf("open %v", open)
	default:
	}
}

func TestSetRoleRights(t *testing.T) {
	w := newGrouped(t)
	admin := w.as(fleet.RoleAdmin)
	rights, err := w.RoleRights(t.Context(), admin)
	if err != nil || len(rights) != 3 || rights[fleet.RoleAuditor].Default != fleet.See || rights[fleet.RoleAdmin].Default != fleet.AllRights {
		t.Fatalf("%+v, %v", rights, err)
	}
	was := rights[fleet.RoleTechnician]
	want := fleet.Access{Default: fleet.See, Groups: map[id.Group]fleet.Rights{w.group.ID: fleet.See | fleet.VisitAccount}}
	got, err := w.SetRoleRights(t.Context(), admin, fleet.RoleTechnician, want, was.Tag())
	if err != nil || got.Tag() != want.Tag() {
		t.Errorf("%+v, %v", got, err)
	}
	if p := w.as(fleet.RoleTechnician); p.Access.Tag() != want.Tag() {
		t.Errorf("%+v", p.Access)
	}
	_, err = w.SetRoleRights(t.Context(), admin, fleet.RoleTechnician, want, was.Tag())
	wantCode(t, err, fault.Changed)

	foreign := w.stranger()
	theirs, err := w.AddGroup(t.Context(), foreign, "Theirs")
	if err != nil {
		t.Fatal(err)
	}
	in := func(g id.Group, r fleet.Rights) fleet.Access {
		return fleet.Access{Default: fleet.See, Groups: map[id.Group]fleet.Rights{g: r}}
	}
	for _, c := range []struct {
		who   fleet.Principal
		role  fleet.Role
		a     fleet.Access
		code  fault.Code
		field string
	}{
		{w.owner, fleet.RoleOwner, fleet.Access{}, fault.Invalid, "role"},
		{w.owner, "root", fleet.Access{}, fault.Invalid, "role"},
		{w.owner, fleet.RoleAuditor, fleet.Access{Default: fleet.See | fleet.VisitAccount}, fault.Invalid, "default"},
		{w.owner, fleet.RoleAuditor, in(w.group.ID, fleet.See|fleet.ManageDevices), fault.Invalid, "groups"},
		{w.owner, fleet.RoleAuditor, fleet.Access{Default: fleet.See | fleet.ManagePeople}, fault.Invalid, "default"},
		{w.owner, fleet.RoleAdmin, fleet.Access{Default: 1 << 7}, fault.Invalid, "default"},
		{w.owner, fleet.RoleAdmin, fleet.Access{Default: fleet.VisitAccount}, fault.Invalid, "default"},
		{w.owner, fleet.RoleAdmin, in("", fleet.See), fault.Invalid, "groups"},
		{w.owner, fleet.RoleAdmin, in(w.group.ID, fleet.See|fleet.ManagePeople), fault.Invalid, "groups"},
		{w.owner, fleet.RoleAdmin, in(id.NewGroup(), fleet.See), fault.NotFound, "groups"},
		{w.owner, fleet.RoleAdmin, in(theirs.ID, fleet.See), fault.NotFound, "groups"},
		{w.as(fleet.RoleTechnician), fleet.RoleAuditor, fleet.Access{}, fault.Forbidden, ""},
		{w.as(fleet.RoleAuditor), fleet.RoleTechnician, fleet.Access{}, fault.Forbidden, ""},
	} {
		_, err := w.SetRoleRights(t.Context(), c.who, c.role, c.a, "")
		wantField(t, err, c.code, c.field)
	}
	if now, err := w.RoleRights(t.Context(), w.owner); err != nil || now[fleet.RoleTechnician].Tag() != want.Tag() || now[fleet.RoleAdmin].Default != fleet.AllRights {
		t.Errorf("a refusal changed them: %+v, %v", now, err)
	}
}

// Nobody gives a right, or a role, that can do more than the giver.
func TestRightsThatOneLacks(t *testing.T) {
	w := newGrouped(t)
	w.set(fleet.RoleAdmin, fleet.Access{
		Default: fleet.AllRights &^ fleet.VisitPasswordless,
		Groups:  map[id.Group]fleet.Rights{w.group.ID: fleet.See},
	})
	w.set(fleet.RoleTechnician, fleet.Access{Default: fleet.See | fleet.VisitPasswordless})
	admin := w.as(fleet.RoleAdmin)
	f := func(want fault.Code, r fleet.Role, a fleet.Access) {
		t.Helper()
		_, err := w.SetRoleRights(t.Context(), admin, r, a, "")
		wantCode(t, err, want)
	}
	f("", fleet.RoleTechnician, fleet.Access{Default: fleet.See | fleet.VisitPasswordless | fleet.VisitAccount, Groups: map[id.Group]fleet.Rights{w.group.ID: fleet.See}})
	f(fault.Forbidden, fleet.RoleTechnician, fleet.Access{Default: fleet.See | fleet.VisitAccount | fleet.VisitPasswordless}) // the group too, then
	f(fault.Forbidden, fleet.RoleAdmin, fleet.Access{Default: fleet.AllRights, Groups: map[id.Group]fleet.Rights{w.group.ID: fleet.See}})
	f(fault.Forbidden, fleet.RoleAdmin, fleet.Access{Default: fleet.AllRights &^ fleet.VisitPasswordless})
	// A technician may do here what the admin may not.
	_, err := w.InviteUser(t.Context(), admin, fleet.NewUser{Email: "a@example.com", Name: "N", Role: fleet.RoleTechnician})
	wantField(t, err, fault.Forbidden, "role")
	if _, err := w.InviteUser(t.Context(), admin, fleet.NewUser{Email: "a@example.com", Name: "N", Role: fleet.RoleAuditor}); err != nil {
		t.Errorf("an auditor sees, and so does the admin: %v", err)
	}
	// Without the right to manage people there is no way to it.
	w.set(fleet.RoleAdmin, fleet.Access{Default: fleet.AllRights &^ fleet.ManagePeople})
	f(fault.Forbidden, fleet.RoleAdmin, fleet.Access{Default: fleet.AllRights})
}

// Who connects a PBX by e-mail must see it, or, if it is new, those without a
// group; to manage devices is not needed, and an auditor never may.
func TestConnectingByRightsOfGroups(t *testing.T) {
	const known, unknown, elsewhere = "SN-0001", "SN-0099", "SN-0000" // the first is in the group
	f := func(name string, role fleet.Role, a fleet.Access, may map[id.Serial]bool) {
		t.Helper()
		w := newGrouped(t)
		if group, ok := a.Groups["the"]; ok {
			a.Groups = map[id.Group]fleet.Rights{w.group.ID: group}
		}
		if role != fleet.RoleOwner {
			w.set(role, a)
		}
		p := w.as(role)
		for _, sn := range []id.Serial{known, elsewhere, unknown} {
			q := newPBX(sn).request()
			q.Email = p.Email
			_, err := w.Activate(t.Context(), q)
			want := fault.Rejected
			if may[sn] {
				want = ""
			}
			if got := fault.CodeOf(err); got != want {
				t.Errorf("%s, %s: %q", name, sn, got)
			}
		}
	}
	in := func(r fleet.Rights) map[id.Group]fleet.Rights { return map[id.Group]fleet.Rights{"the": r} }
	all := map[id.Serial]bool{known: true, elsewhere: true, unknown: true}
	inside, outside := map[id.Serial]bool{known: true}, map[id.Serial]bool{elsewhere: true, unknown: true}
	f("an owner", fleet.RoleOwner, fleet.Access{}, all)
	f("as technicians are", fleet.RoleTechnician, fleet.Access{Default: fleet.DefaultRights(fleet.RoleTechnician)}, all)
	f("to manage the group alone", fleet.RoleTechnician, fleet.Access{Groups: in(fleet.See | fleet.ManageDevices)}, inside)
	f("to see the group alone", fleet.RoleTechnician, fleet.Access{Groups: in(fleet.See)}, inside)
	f("all but the group", fleet.RoleAdmin, fleet.Access{Default: fleet.AllRights, Groups: in(0)}, outside)
	f("nothing", fleet.RoleAdmin, fleet.Access{}, nil)
	f("an auditor", fleet.RoleAuditor, fleet.Access{Default: fleet.See}, nil)
}
