package fleet_test

import (
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Who may manage people and no PBXs removes none by removing their account, and
// gets no link by which to be its owner.
func TestResellerTakesRights(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	r, q := w.sell(p, "Acme", 5)
	empty, _ := w.sell(p, "Nothing yet", 5)
	if _, err := w.box(q, "SN-0001"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetRoleRights(t.Context(), p, fleet.RoleTechnician, fleet.Access{Default: fleet.See | fleet.ManagePeople}, ""); err != nil {
		t.Fatal(err)
	}
	tech := w.as(fleet.RoleTechnician)
	_, err := w.ReinviteUser(t.Context(), tech, r.Owner.ID)
	wantCode(t, err, fault.Forbidden)
	wantCode(t, w.RemoveReseller(t.Context(), tech, r.ID, ""), fault.Forbidden)
	wantCode(t, w.RemoveReseller(t.Context(), tech, empty.ID, ""), "")
	if _, err := w.Authenticate(t.Context(), w.session(q.Email)); err != nil {
		t.Error(err)
	}
	wantCode(t, w.RemoveReseller(t.Context(), p, r.ID, ""), "")
}

// A link lets whoever has it be the person: it gives no rights that one lacks.
func TestReinviteGivesNoRights(t *testing.T) {
	w := newGrouped(t)
	w.set(fleet.RoleAuditor, fleet.Access{Default: fleet.See})
	w.set(fleet.RoleTechnician, fleet.Access{Default: fleet.See | fleet.ManagePeople, Groups: map[id.Group]fleet.Rights{w.group.ID: 0}})
	auditor, tech := w.as(fleet.RoleAuditor), w.as(fleet.RoleTechnician)
	_, err := w.ReinviteUser(t.Context(), tech, auditor.User)
	wantCode(t, err, fault.Forbidden)
	_, err = w.ReinviteUser(t.Context(), tech, w.as(fleet.RoleTechnician).User)
	wantCode(t, err, "")
}

func TestRemoveReseller(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	r, q := w.sell(p, "Acme", 5)
	_, deep := w.sell(q, "Acme's", 2)
	mine, err := w.box(q, "SN-0001")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := w.box(deep, "SN-0002")
	if err != nil {
		t.Fatal(err)
	}
	w.connect(mine.Device, 1)
	v, err := w.StartVisit(t.Context(), q, fleet.VisitRequest{Device: mine.Device})
	if err != nil {
		t.Fatal(err)
	}
	_, secret := w.token(q, fleet.ScopeDevicesRead)
	wantCode(t, w.RemoveReseller(t.Context(), p, r.ID, ""), fault.AccountInUse)
	w.ApplyRoute(fleet.RouteEvent{Route: w.route(mine.Device, "r1", fault.AgentStopped), Epoch: "e1", Rev: 2})
	w.connect(theirs.Device, 3) // of an account below
	wantCode(t, w.RemoveReseller(t.Context(), p, r.ID, ""), fault.AccountInUse)
	w.ApplyRoute(fleet.RouteEvent{Route: w.route(theirs.Device, "r1", fault.AgentStopped), Epoch: "e1", Rev: 4})
	for _, role := range []fleet.Role{fleet.RoleTechnician, fleet.RoleAuditor} {
		wantCode(t, w.RemoveReseller(t.Context(), w.as(role), r.ID, ""), fault.Forbidden)
	}
	if len(w.revocations()) != 0 {
		t.Errorf("a refusal revoked: %v", w.revocations())
	}
	if err := w.RemoveReseller(t.Context(), p, r.ID, ""); err != nil {
		t.Fatal(err)
	}
	if w.admits(mine) || w.admits(theirs) || w.revocations()["visit."+string(v.Visit.ID)].Code != fault.AccountRemoved {
		t.Errorf("revocations %v", w.revocations())
	}
	_, e1 := w.Authenticate(t.Context(), secret)
	wantCode(t, e1, fault.SignInNeeded)
	for _, x := range []fleet.Principal{q, deep} {
		_, err := w.SignIn(t.Context(), x.Email, password, addr(1))
		wantCode(t, err, fault.WrongLogin)
	}
	_, err = w.Reseller(t.Context(), p, r.ID)
	wantCode(t, err, fault.NotFound)
	if s, err := w.Subscription(t.Context(), p); err != nil || s.Allotted != 0 || s.ResellersUsed != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	// The names and serial numbers are free again.
	if _, err := w.box(p, "SN-0001"); err != nil {
		t.Error(err)
	}
	if _, _, err := w.AddReseller(t.Context(), p, fleet.NewReseller{Name: "Acme", Connections: 24, Email: q.Email, Person: "P"}); err != nil {
		t.Error(err)
	}
}

// The account above looks after a reseller's first owner, and nobody else.
func TestResellersOwner(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	r, q := w.sell(p, "Acme", 5)
	w.wait(time.Second)
	in, err := w.InviteUser(t.Context(), q, fleet.NewUser{Email: "second@acme.example", Name: "Second", Role: fleet.RoleOwner})
	if err != nil {
		t.Fatal(err)
	}
	_, deep := w.sell(q, "Acme's", 1)
	for _, u := range []id.User{in.User.ID, deep.User} {
		_, err := w.ReinviteUser(t.Context(), p, u)
		wantCode(t, err, fault.NotFound)
	}
	for _, role := range []fleet.Role{fleet.RoleTechnician, fleet.RoleAuditor} {
		_, err := w.ReinviteUser(t.Context(), w.as(role), q.User)
		wantCode(t, err, fault.Forbidden)
	}
	_, e1 := w.EditUser(t.Context(), p, q.User, fleet.UserEdit{Name: ptr("X")})
	_, e2 := w.User(t.Context(), p, q.User)
	for _, err := range []error{e1, e2, w.RemoveUser(t.Context(), p, q.User, "")} {
		wantCode(t, err, fault.NotFound)
	}
	again, err := w.ReinviteUser(t.Context(), w.as(fleet.RoleAdmin), q.User)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.SignIn(t.Context(), q.Email, password, addr(1))
	wantCode(t, err, fault.WrongLogin)
	if _, err := w.AcceptInvitation(t.Context(), again.Token, newPassword, addr(1)); err != nil {
		t.Error(err)
	}
	if got, err := w.Reseller(t.Context(), p, r.ID); err != nil || got.Owner.ID != q.User {
		t.Errorf("%+v, %v", got, err)
	}
}

// Whatever one account asks about another one's people, it finds nothing; and
// nothing is changed.
func TestAnotherAccountFindsNothing(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	a, mine := w.sell(p, "Acme", 5)
	b, theirs := w.sell(p, "Beta", 5)
	k, _ := w.token(theirs, fleet.ScopeDevicesRead)
	ctx := t.Context()
	calls := func(q fleet.Principal) map[string]error {
		_, user := w.User(ctx, q, theirs.User)
		_, edit := w.EditUser(ctx, q, theirs.User, fleet.UserEdit{Name: ptr("X")})
		_, again := w.ReinviteUser(ctx, q, theirs.User)
		_, read := w.Reseller(ctx, q, b.ID)
		_, change := w.EditReseller(ctx, q, b.ID, fleet.ResellerEdit{Connections: ptr(0)})
		_, visits := w.EndVisitsOf(ctx, q, theirs.User)
		return map[string]error{
			"user": user, "edit user": edit, "invite again": again, "reseller": read, "edit reseller": change, "visits of": visits,
			"remove user": w.RemoveUser(ctx, q, theirs.User, ""), "remove reseller": w.RemoveReseller(ctx, q, b.ID, ""),
			"token": w.RevokeToken(ctx, q, k.ID),
		}
	}
	for what, err := range calls(mine) {
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, up := w.Reseller(ctx, mine, p.Account)
	_, self := w.Reseller(ctx, mine, a.ID)
	_, above := w.ReinviteUser(ctx, mine, p.User)
	for _, err := range []error{up, self, above} {
		wantCode(t, err, fault.NotFound)
	}
	for what, err := range calls(fleet.Principal{}) {
		if fault.CodeOf(err) != fault.SignInNeeded {
			t.Errorf("nobody, %s: %v", what, err)
		}
	}
	users, _ := w.Users(ctx, mine, fleet.ListQuery{})
	below, _ := w.Resellers(ctx, mine, fleet.ListQuery{})
	tokens, _ := w.Tokens(ctx, mine, "", 0)
	if len(users.Items) != 1 || len(below.Items)+len(tokens.Items) != 0 {
		t.Errorf("%+v, %+v, %+v", users, below, tokens)
	}
	if got, err := w.Reseller(ctx, p, b.ID); err != nil || got.Allotted != 5 || got.Owner.Name != "Owner of Beta" {
		t.Errorf("%+v, %v", got, err)
	}
	if q := w.signIn(theirs.Email); q.User != theirs.User {
		t.Errorf("%+v", q)
	}
}
