package fleet_test

import (
	"slices"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// inside is a technician who is in a PBX, with a token and a watch.
type inside struct {
	fleet.Principal
	email  string
	visit  id.Visit
	secret string
	watch  <-chan fleet.DeviceEvent
}

func (w *world) inside() inside {
	w.Helper()
	g := w.activate(newPBX(id.Serial("SN-" + id.Ref()[:4])).request())
	w.connect(g.Device, 1)
	p := w.as(fleet.RoleTechnician)
	v, err := w.StartVisit(w.Context(), p, fleet.VisitRequest{Device: g.Device})
	if err != nil {
		w.Fatal(err)
	}
	_, secret, err := w.AddToken(w.Context(), p, fleet.NewToken{Name: "t", Scopes: fleet.Scopes(), Life: time.Hour})
	if err != nil {
		w.Fatal(err)
	}
	return inside{Principal: p, email: p.Email, visit: v.Visit.ID, secret: secret, watch: w.Watch(w.Context(), p)}
}

// Whoever is disabled, removed or invited again is out at once.
func TestOut(t *testing.T) {
	w := newWorld(t)
	f := func(how string, do func(p fleet.Principal, u id.User) error) {
		t.Helper()
		in := w.inside()
		s, err := w.SignIn(t.Context(), in.email, password, addr(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := do(w.signIn(owner), in.User); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		for _, secret := range []string{s.Token, in.secret} {
			_, err := w.Authenticate(t.Context(), secret)
			wantCode(t, err, fault.SignInNeeded)
		}
		if r := w.revocations()["visit."+string(in.visit)]; r.Code != fault.AccessWithdrawn {
			t.Errorf("%s: the relays know of %+v", how, r)
		}
		page, _ := w.Visits(t.Context(), w.signIn(owner), fleet.VisitQuery{Live: true})
		if len(page.Items) != 0 {
			t.Errorf("%s: still in: %+v", how, page.Items)
		}
		if _, open := <-in.watch; open {
			t.Errorf("%s: still watches", how)
		}
		_, err = w.SignIn(t.Context(), in.email, password, addr(1))
		wantCode(t, err, fault.WrongLogin)
		a := newPBX("SN-9999").request()
		a.Email = in.email
		_, err = w.Activate(t.Context(), a)
		wantCode(t, err, fault.Rejected)
	}
	f("disabled", func(p fleet.Principal, u id.User) error {
		_, err := w.EditUser(t.Context(), p, u, fleet.UserEdit{Disabled: ptr(true)})
		return err
	})
	f("removed", func(p fleet.Principal, u id.User) error { return w.RemoveUser(t.Context(), p, u, "") })
	f("invited again", func(p fleet.Principal, u id.User) error {
		_, err := w.ReinviteUser(t.Context(), p, u)
		return err
	})
}

// A revocation that the bus did not take is published later.
func TestOutWithoutABus(t *testing.T) {
	w := newWorld(t)
	in := w.inside()
	w.busDown = bus.ErrExists
	if err := w.RemoveUser(t.Context(), w.signIn(owner), in.User, ""); err != nil {
		t.Fatal(err)
	}
	w.busDown = nil
	if err := w.Republish(t.Context()); err != nil || w.revocations()["visit."+string(in.visit)].Code != fault.AccessWithdrawn {
		t.Errorf("%v, %v", w.revocations(), err)
	}
}

// Somebody who is made an auditor is out of the PBXs, and stays signed in.
func TestLowerRole(t *testing.T) {
	w := newWorld(t)
	in := w.inside()
	if _, err := w.EditUser(t.Context(), w.signIn(owner), in.User, fleet.UserEdit{Role: ptr(fleet.RoleAdmin)}); err != nil {
		t.Fatal(err)
	}
	if len(w.revocations()) != 0 {
		t.Errorf("an admin may visit too: %v", w.revocations())
	}
	if _, err := w.EditUser(t.Context(), w.signIn(owner), in.User, fleet.UserEdit{Role: ptr(fleet.RoleAuditor)}); err != nil {
		t.Fatal(err)
	}
	if w.revocations()["visit."+string(in.visit)].Code != fault.AccessWithdrawn {
		t.Error("still in")
	}
	p, err := w.Authenticate(t.Context(), in.secret)
	if err != nil || p.Role != fleet.RoleAuditor || p.Access.Default != fleet.See {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestEditUser(t *testing.T) {
	w := newWorld(t)
	p, other := w.signIn(owner), w.as(fleet.RoleAdmin)
	was := w.user(p, other.User)
	got, err := w.EditUser(t.Context(), p, was.ID, fleet.UserEdit{Match: was.Tag(), Name: ptr(" Ann "), Role: ptr(fleet.RoleTechnician)})
	if err != nil || got.Name != "Ann" || got.Role != fleet.RoleTechnician || got.Tag() == was.Tag() || got.Hash != "" || got != w.user(p, was.ID) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, c := range []struct {
		code  fault.Code
		field string
		edit  fleet.UserEdit
	}{
		{fault.Changed, "", fleet.UserEdit{Match: was.Tag(), Name: ptr("X")}},
		{fault.Changed, "", fleet.UserEdit{Match: "' OR 1=1", Name: ptr("X")}},
		{fault.Invalid, "name", fleet.UserEdit{Name: ptr("")}},
		{fault.Invalid, "name", fleet.UserEdit{Name: ptr("a\nb")}},
		{fault.Invalid, "role", fleet.UserEdit{Role: ptr(fleet.Role("x"))}},
	} {
		_, err := w.EditUser(t.Context(), p, was.ID, c.edit)
		wantField(t, err, c.code, c.field)
	}
	if now := w.user(p, was.ID); now != got {
		t.Errorf("a refusal changed it: %+v", now)
	}
	// Disabled, and enabled again: the password is still the person's.
	for _, off := range []bool{true, false} {
		if _, err := w.EditUser(t.Context(), p, was.ID, fleet.UserEdit{Disabled: &off}); err != nil {
			t.Fatal(err)
		}
	}
	w.signIn(other.Email)
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	p, other := w.signIn(owner), w.signIn(owner)
	wantField(t, w.ChangePassword(t.Context(), p, password, "short"), fault.Invalid, "new")
	wantField(t, w.ChangePassword(t.Context(), p, "wrong", newPassword), fault.WrongLogin, "old")
	if err := w.ChangePassword(t.Context(), p, password, newPassword); err != nil {
		t.Fatal(err)
	}
	if err := w.SignOut(t.Context(), other); err != nil { // its session is gone, which is not an error
		t.Error(err)
	}
	me, a, err := w.Me(t.Context(), p)
	if err != nil || me.Email != owner || me.Hash != "" || a.Name != "Provider" {
		t.Errorf("%+v, %+v, %v", me, a, err)
	}
	_, err = w.SignIn(t.Context(), owner, password, addr(1))
	wantCode(t, err, fault.WrongLogin)
	if _, err = w.SignIn(t.Context(), owner, newPassword, addr(1)); err != nil {
		t.Error(err)
	}
	// The throttle is that of signing in.
	p.Remote = addr(7)
	for range 8 { // two were wrong before
		wantCode(t, w.ChangePassword(t.Context(), p, "wrong", newPassword), fault.WrongLogin)
	}
	wantCode(t, w.ChangePassword(t.Context(), p, newPassword, password), fault.TooMany)
	if got := w.audit(); !slices.Contains(got, "password_change ok "+owner) || !slices.Contains(got, "password_change wrong_login "+owner) {
		t.Errorf("%q", got)
	}
}

// The sessions that a change of the password ends are all but the one that asked.
func TestChangePasswordEndsOtherSessions(t *testing.T) {
	w := newWorld(t)
	mine, err := w.SignIn(t.Context(), owner, password, addr(1))
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.SignIn(t.Context(), owner, password, addr(1))
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Authenticate(t.Context(), mine.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.ChangePassword(t.Context(), p, password, newPassword); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Authenticate(t.Context(), mine.Token); err != nil {
		t.Error(err)
	}
	_, err = w.Authenticate(t.Context(), other.Token)
	wantCode(t, err, fault.SignInNeeded)
}
