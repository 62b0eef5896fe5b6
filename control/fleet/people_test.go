package fleet_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const newPassword = "another horse battery"

// as signs in somebody new of that role in the root account.
func (w *world) as(role fleet.Role) fleet.Principal {
	w.Helper()
	email := string(role) + "-" + strings.ToLower(string(id.NewUser())) + "@example.com"
	w.addUser(email, role, false)
	return w.signIn(email)
}

// stranger is the owner of an account below.
func (w *world) stranger() fleet.Principal {
	w.Helper()
	email := strings.ToLower(string(id.NewUser())) + "@example.net"
	w.addUser(email, fleet.RoleOwner, true)
	return w.signIn(email)
}

func (w *world) user(p fleet.Principal, u id.User) fleet.User {
	w.Helper()
	got, err := w.User(w.Context(), p, u)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

func ptr[T any](v T) *T { return &v }

func TestInvitation(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	in, err := w.InviteUser(t.Context(), p, fleet.NewUser{Email: " New@Example.COM ", Name: "Élise", Role: fleet.RoleTechnician})
	if err != nil || in.User.Email != "new@example.com" || len(in.Token) != 43 || in.Expires.Sub(w.now()) != 48*time.Hour || in.User.Invite+in.User.Hash != "" {
		t.Fatalf("%+v, %v", in, err)
	}
	// Nobody gets in before it is accepted, with any password.
	for _, pw := range []string{"", password, "wrong"} {
		_, err := w.SignIn(t.Context(), "new@example.com", pw, addr(1))
		wantCode(t, err, fault.WrongLogin)
	}
	u, a, err := w.InvitationOf(t.Context(), in.Token, addr(2))
	if err != nil || u.ID != in.User.ID || a.Name != "Provider" || u.Invite != "" {
		t.Errorf("%+v, %+v, %v", u, a, err)
	}
	s, err := w.AcceptInvitation(t.Context(), in.Token, newPassword, addr(2))
	if err != nil || s.User.ID != u.ID || s.User.Hash+s.User.Invite != "" || s.Account.ID != a.ID {
		t.Fatalf("%+v, %v", s, err)
	}
	q, err := w.Authenticate(t.Context(), s.Token)
	if err != nil || q.Role != fleet.RoleTechnician || q.Access.Default != fleet.DefaultRights(fleet.RoleTechnician) {
		t.Errorf("%+v, %v", q, err)
	}
	if got := w.user(p, u.ID); !got.Invited.IsZero() || !got.LastSeen.Equal(w.now()) {
		t.Errorf("%+v", got)
	}
	if _, err := w.SignIn(t.Context(), "new@example.com", newPassword, addr(1)); err != nil {
		t.Error(err)
	}
	// Once.
	_, _, err = w.InvitationOf(t.Context(), in.Token, addr(2))
	wantCode(t, err, fault.InvitationInvalid)
	_, err = w.AcceptInvitation(t.Context(), in.Token, newPassword, addr(2))
	wantCode(t, err, fault.InvitationInvalid)
	if got := w.audit(); !slices.Contains(got, "user_invite ok "+owner) || !slices.Contains(got, "invitation_accept ok new@example.com") {
		t.Errorf("%q", got)
	}
}

func TestInvitationsThatAreNotGood(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	invite := func(email string) fleet.Invitation {
		in, err := w.InviteUser(t.Context(), p, fleet.NewUser{Email: email, Name: "N", Role: fleet.RoleAdmin})
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	old := invite("a@example.com")
	anew, err := w.ReinviteUser(t.Context(), p, old.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	removed, disabled := invite("b@example.com"), invite("c@example.com")
	if err := w.RemoveUser(t.Context(), p, removed.User.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.EditUser(t.Context(), p, disabled.User.ID, fleet.UserEdit{Disabled: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	late := invite("d@example.com")
	before := len(w.auditPage().Items)
	for _, token := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 5000), "' OR 1=1 --", old.Token, removed.Token, disabled.Token} {
		_, _, err := w.InvitationOf(t.Context(), token, addr(3))
		wantCode(t, err, fault.InvitationInvalid)
		_, err = w.AcceptInvitation(t.Context(), token, newPassword, addr(3))
		wantCode(t, err, fault.InvitationInvalid)
	}
	for range 30 {
		_, _ = w.AcceptInvitation(t.Context(), "guess", newPassword, addr(3))
	}
	if n := len(w.auditPage().Items) - before; n > 12 {
		t.Errorf("a stranger wrote %d entries", n)
	}
	for _, pw := range []string{"", "short", strings.Repeat("x", 257)} {
		_, err := w.AcceptInvitation(t.Context(), anew.Token, pw, addr(3))
		wantCode(t, err, fault.Invalid)
	}
	w.wait(48 * time.Hour)
	_, err = w.AcceptInvitation(t.Context(), late.Token, newPassword, addr(3))
	wantCode(t, err, fault.InvitationInvalid)
}

// Of many who follow one link at once, one gets in.
func TestInvitationIsAcceptedOnce(t *testing.T) {
	w := newWorld(t)
	in, err := w.InviteUser(t.Context(), w.signIn(owner), fleet.NewUser{Email: "a@example.com", Name: "N", Role: fleet.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	var got atomic.Int32
	var g sync.WaitGroup
	for range 12 {
		g.Go(func() {
			_, err := w.AcceptInvitation(t.Context(), in.Token, newPassword, addr(4))
			if err == nil {
				got.Add(1)
			} else if fault.CodeOf(err) != fault.InvitationInvalid {
				t.Errorf("%v", err)
			}
		})
	}
	g.Wait()
	if got.Load() != 1 {
		t.Errorf("%d got in", got.Load())
	}
}

func TestRefusedInvitations(t *testing.T) {
	w := newWorld(t)
	w.addUser("below@example.com", fleet.RoleOwner, true)
	p := w.signIn(owner)
	good := fleet.NewUser{Email: "a@example.com", Name: "N", Role: fleet.RoleAdmin}
	for _, c := range []struct {
		field string
		code  fault.Code
		edit  func(*fleet.NewUser)
	}{
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = "" }},
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = "a@" }},
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = "a b@example.com" }},
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = "a@b@example.com" }},
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = "a@example..com" }},
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = "a@example.com\r\nBcc: b@example.com" }},
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = `"<script>"@example.com` }},
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = "\u0430@example.com" }},  // a Cyrillic letter
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = "\u212a@example.com" }},  // the Kelvin sign, a k in lower case
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = "a\u200b@example.com" }}, // of no width
		{"email", fault.Invalid, func(n *fleet.NewUser) { n.Email = strings.Repeat("a", 250) + "@example.com" }},
		{"email", fault.Taken, func(n *fleet.NewUser) { n.Email = "OWNER@example.com" }},
		{"email", fault.Taken, func(n *fleet.NewUser) { n.Email = "below@example.com" }},
		{"name", fault.Invalid, func(n *fleet.NewUser) { n.Name = " " }},
		{"name", fault.Invalid, func(n *fleet.NewUser) { n.Name = "a\u202eb" }},
		{"name", fault.Invalid, func(n *fleet.NewUser) { n.Name = strings.Repeat("x", 101) }},
		{"role", fault.Invalid, func(n *fleet.NewUser) { n.Role = "" }},
		{"role", fault.Invalid, func(n *fleet.NewUser) { n.Role = "root" }},
	} {
		n := good
		c.edit(&n)
		_, err := w.InviteUser(t.Context(), p, n)
		wantField(t, err, c.code, c.field)
		if err != nil && strings.Contains(err.Error(), "Reseller") {
			t.Errorf("tells the account: %v", err)
		}
	}
	page, err := w.Users(t.Context(), p, fleet.ListQuery{})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("written: %+v, %v", page, err)
	}
}

// wantField also wants the refusal to name the input.
func wantField(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	f, ok := err.(*fault.Error)
	if !ok || f.Code != code || f.Field != field {
		t.Errorf("%v, want %s of %s", err, code, field)
	}
}

// Who may decide about whom.
func TestWhoManagesPeople(t *testing.T) {
	w := newWorld(t)
	all := []fleet.Role{fleet.RoleOwner, fleet.RoleAdmin, fleet.RoleTechnician, fleet.RoleAuditor}
	may := map[fleet.Role][]fleet.Role{
		fleet.RoleOwner: all,
		fleet.RoleAdmin: {fleet.RoleAdmin, fleet.RoleTechnician, fleet.RoleAuditor},
	}
	for _, role := range all {
		p := w.as(role)
		for _, about := range all {
			want := fault.Code("")
			if !slices.Contains(may[role], about) {
				want = fault.Forbidden
			}
			other := w.as(about).User
			check := func(what string, err error) {
				t.Helper()
				if fault.CodeOf(err) != want {
					t.Errorf("%s %s %s: %v, want %q", role, what, about, err, want)
				}
			}
			_, err := w.InviteUser(t.Context(), p, fleet.NewUser{Email: string(role) + "." + string(about) + "@example.com", Name: "N", Role: about})
			check("invites", err)
			_, err = w.EditUser(t.Context(), p, other, fleet.UserEdit{Name: ptr("Other")})
			check("renames", err)
			_, err = w.EditUser(t.Context(), p, w.as(fleet.RoleAuditor).User, fleet.UserEdit{Role: ptr(about)})
			if role == fleet.RoleAdmin || role == fleet.RoleOwner {
				check("makes somebody", err)
			} else {
				wantCode(t, err, fault.Forbidden)
			}
			_, err = w.ReinviteUser(t.Context(), p, other)
			check("invites again", err)
			check("removes", w.RemoveUser(t.Context(), p, other, ""))
		}
		_, err := w.Users(t.Context(), p, fleet.ListQuery{})
		if want := map[bool]fault.Code{true: fault.Forbidden}[role == fleet.RoleTechnician]; fault.CodeOf(err) != want {
			t.Errorf("%s lists: %v", role, err)
		}
		if got := w.user(p, p.User); got.Role != role {
			t.Errorf("oneself: %+v", got)
		}
	}
}

// A right that was taken away a moment ago is not used to decide about people.
func TestOldPrincipal(t *testing.T) {
	w := newWorld(t)
	p, stale := w.signIn(owner), w.as(fleet.RoleOwner)
	if _, err := w.EditUser(t.Context(), p, stale.User, fleet.UserEdit{Role: ptr(fleet.RoleAuditor)}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.RemoveUser(t.Context(), stale, p.User, ""), fault.Forbidden)
	if err := w.RemoveUser(t.Context(), p, stale.User, ""); err != nil {
		t.Fatal(err)
	}
	_, err := w.InviteUser(t.Context(), stale, fleet.NewUser{Email: "a@example.com", Name: "N", Role: fleet.RoleAuditor})
	wantCode(t, err, fault.SignInNeeded)
	_, _, err = w.AddToken(t.Context(), stale, fleet.NewToken{Name: "t", Scopes: fleet.Scopes(), Life: time.Hour})
	wantCode(t, err, fault.SignInNeeded)
}
