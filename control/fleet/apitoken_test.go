package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func (w *world) token(p fleet.Principal, scopes ...string) (fleet.APIToken, string) {
	w.Helper()
	t, secret, err := w.AddToken(w.Context(), p, fleet.NewToken{Name: "CI", Scopes: scopes, Life: 24 * time.Hour})
	if err != nil {
		w.Fatal(err)
	}
	return t, secret
}

func TestAPIToken(t *testing.T) {
	w := newWorld(t)
	p := w.as(fleet.RoleAdmin)
	k, secret, err := w.AddToken(t.Context(), p, fleet.NewToken{
		Name: " CI ", Scopes: []string{fleet.ScopeAuditRead, fleet.ScopeDevicesRead, fleet.ScopeAuditRead}, Life: 400 * 24 * time.Hour,
	})
	if err != nil || !strings.HasPrefix(secret, "tlk_") || len(secret) != 47 || k.Name != "CI" || k.User != p.User ||
		!slices.Equal(k.Scopes, []string{fleet.ScopeDevicesRead, fleet.ScopeAuditRead}) {
		t.Fatalf("%+v, %q, %v", k, secret, err)
	}
	q, err := w.Authenticate(t.Context(), secret)
	if err != nil || q.User != p.User || q.Token != k.ID || q.Session != "" || q.Access.Default != fleet.AllRights {
		t.Fatalf("%+v, %v", q, err)
	}
	if !q.MayScope(fleet.ScopeDevicesRead) || q.MayScope(fleet.ScopeDevicesWrite) || q.MayScope("") || !p.MayScope(fleet.ScopeDevicesWrite) {
		t.Error("scopes")
	}
	// It may not make more of itself, nor lock the person out.
	_, _, e1 := w.AddToken(t.Context(), q, fleet.NewToken{Name: "t", Scopes: fleet.Scopes(), Life: time.Hour})
	for _, err := range []error{e1, w.ChangePassword(t.Context(), q, password, newPassword), w.SignOut(t.Context(), q)} {
		wantCode(t, err, fault.Forbidden)
	}
	// What it does is known as its doing.
	if _, err := w.AddGroup(t.Context(), q, "North"); err != nil {
		t.Fatal(err)
	}
	if e := w.auditPage().Items[0]; e.Actor != p.Email || !strings.Contains(e.Detail, string(k.ID)) {
		t.Errorf("%+v", e)
	}
	// It has the rights that the person has now.
	if _, err := w.EditUser(t.Context(), w.signIn(owner), p.User, fleet.UserEdit{Role: ptr(fleet.RoleAuditor)}); err != nil {
		t.Fatal(err)
	}
	if q, err := w.Authenticate(t.Context(), secret); err != nil || q.Role != fleet.RoleAuditor || q.Access.Default != fleet.See {
		t.Errorf("%+v, %v", q, err)
	}
	if err := w.RevokeToken(t.Context(), q, k.ID); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{secret, "tlk_" + strings.Repeat("A", 43), strings.TrimPrefix(secret, "tlk_"), secret + "x", "tlk_"} {
		_, err := w.Authenticate(t.Context(), bad)
		wantCode(t, err, fault.SignInNeeded)
	}
}

func TestTokensExpire(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	_, secret := w.token(p, fleet.ScopeAuditRead)
	w.wait(24 * time.Hour)
	_, err := w.Authenticate(t.Context(), secret)
	wantCode(t, err, fault.SignInNeeded)
	for _, want := range []int{1, 0} {
		if ts, err := w.Tokens(t.Context(), p, "", 0); err != nil || len(ts.Items) != want {
			t.Errorf("%+v, %v", ts, err)
		}
		w.wait(30 * 24 * time.Hour)
		if _, err := w.SweepForTest(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// The last use is known to the minute, and asking writes nothing.
func TestTokenUse(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	_, secret := w.token(p, fleet.ScopeAuditRead)
	last := func() time.Time {
		t.Helper()
		ts, err := w.Tokens(t.Context(), p, "", 0)
		if err != nil || len(ts.Items) != 1 {
			t.Fatalf("%+v, %v", ts, err)
		}
		return ts.Items[0].LastUsed
	}
	if !last().IsZero() {
		t.Errorf("used %v", last())
	}
	for range 3 {
		w.wait(90 * time.Second)
		for range 5 {
			if _, err := w.Authenticate(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}
		if got := last(); !got.Equal(w.now().Truncate(time.Minute)) {
			t.Errorf("used %v, it is %v", got, w.now())
		}
	}
}

func TestRefusedTokens(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	good := fleet.NewToken{Name: "t", Scopes: []string{fleet.ScopeAuditRead}, Life: time.Hour}
	for _, c := range []struct {
		field string
		edit  func(*fleet.NewToken)
	}{
		{"name", func(n *fleet.NewToken) { n.Name = "" }},
		{"name", func(n *fleet.NewToken) { n.Name = "a\r\nb" }},
		{"scopes", func(n *fleet.NewToken) { n.Scopes = nil }},
		{"scopes", func(n *fleet.NewToken) { n.Scopes = []string{"everything"} }},
		{"scopes", func(n *fleet.NewToken) { n.Scopes = append(fleet.Scopes(), "x") }},
		{"life_seconds", func(n *fleet.NewToken) { n.Life = 0 }},
		{"life_seconds", func(n *fleet.NewToken) { n.Life = -time.Hour }},
		{"life_seconds", func(n *fleet.NewToken) { n.Life = 401 * 24 * time.Hour }},
	} {
		n := good
		c.edit(&n)
		_, secret, err := w.AddToken(t.Context(), p, n)
		wantField(t, err, fault.Invalid, c.field)
		if secret != "" {
			t.Error("a secret")
		}
	}
	for i := range 50 {
		good.Name = fmt.Sprint(i)
		if _, _, err := w.AddToken(t.Context(), p, good); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := w.AddToken(t.Context(), p, good)
	wantCode(t, err, fault.LimitReached)
}

// Owners and admins see and revoke the tokens of their account, but for those
// of people above them; others see their own.
func TestWhoseTokens(t *testing.T) {
	w := newWorld(t)
	roles := []fleet.Role{fleet.RoleOwner, fleet.RoleAdmin, fleet.RoleTechnician, fleet.RoleAuditor}
	who, has := map[fleet.Role]fleet.Principal{}, map[fleet.Role]id.Token{}
	for _, r := range roles {
		who[r] = w.as(r)
		k, _ := w.token(who[r], fleet.ScopeDevicesRead)
		has[r] = k.ID
	}
	stranger := w.stranger()
	sees := map[fleet.Role]int{fleet.RoleOwner: 4, fleet.RoleAdmin: 4, fleet.RoleTechnician: 1, fleet.RoleAuditor: 1}
	for _, r := range roles {
		if ts, err := w.Tokens(t.Context(), who[r], "", 0); err != nil || ts.Total != sees[r] || len(ts.Items) != sees[r] {
			t.Errorf("%s sees %d, %v", r, ts.Total, err)
		}
	}
	if ts, err := w.Tokens(t.Context(), stranger, "", 0); err != nil || ts.Total+len(ts.Items) != 0 {
		t.Errorf("another account sees %+v, %v", ts, err)
	}
	for _, c := range []struct {
		who  fleet.Principal
		of   fleet.Role
		want fault.Code
	}{
		{stranger, fleet.RoleAuditor, fault.NotFound},
		{who[fleet.RoleTechnician], fleet.RoleAuditor, fault.NotFound},
		{who[fleet.RoleAdmin], fleet.RoleOwner, fault.Forbidden},
		{who[fleet.RoleAdmin], fleet.RoleTechnician, ""},
		{who[fleet.RoleAdmin], fleet.RoleTechnician, fault.NotFound}, // it is gone
		{who[fleet.RoleAuditor], fleet.RoleAuditor, ""},
		{who[fleet.RoleOwner], fleet.RoleOwner, ""},
	} {
		if err := w.RevokeToken(t.Context(), c.who, has[c.of]); fault.CodeOf(err) != c.want {
			t.Errorf("%s revokes that of %s: %v, want %q", c.who.Role, c.of, err, c.want)
		}
	}
}
