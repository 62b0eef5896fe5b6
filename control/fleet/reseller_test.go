package fleet_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// sell adds a reseller below p's account, and gives its owner, signed in.
func (w *world) sell(p fleet.Principal, name string, connections int) (fleet.Reseller, fleet.Principal) {
	w.Helper()
	r, in, err := w.AddReseller(w.Context(), p, fleet.NewReseller{
		Name: name, Connections: connections, Email: strings.ToLower(string(id.NewUser())) + "@example.org", Person: "Owner of " + name,
	})
	if err != nil {
		w.Fatal(err)
	}
	w.tx(func(tx fleet.Tx) error { // as accepted, with a password that is cheap to check
		u, err := tx.User(in.User.ID)
		u.Hash, u.Invite = fleet.CheapHash(password), ""
		return errors.Join(err, tx.UpdateUser(u))
	})
	return r, w.signIn(in.User.Email)
}

// box activates a PBX by q's password.
func (w *world) box(q fleet.Principal, sn string) (fleet.Grant, error) {
	a := newPBX(id.Serial(sn)).request()
	a.Email = q.Email
	return w.Activate(w.Context(), a)
}

func TestReseller(t *testing.T) {
	w := newWorld(t) // with 25 connections
	p := w.signIn(owner)
	r, in, err := w.AddReseller(t.Context(), p, fleet.NewReseller{Name: "Acme", Connections: 10, Email: "Boss@acme.example", Person: "Boss"})
	if err != nil || r.Allotted != 10 || r.Parent != p.Account || r.Owner.Email != "boss@acme.example" || r.Owner.Invite != "" || r.Owner.Invited != in.Expires {
		t.Fatalf("%+v, %+v, %v", r, in, err)
	}
	s, err := w.AcceptInvitation(t.Context(), in.Token, newPassword, addr(1))
	if err != nil || s.Account.Name != "Acme" || s.User.Role != fleet.RoleOwner {
		t.Fatalf("%+v, %v", s, err)
	}
	q, err := w.Authenticate(t.Context(), s.Token)
	if err != nil {
		t.Fatal(err)
	}
	if sub, err := w.Subscription(t.Context(), q); err != nil || sub.Connections != 10 || sub.Root {
		t.Errorf("%+v, %v", sub, err)
	}
	if sub, err := w.Subscription(t.Context(), p); err != nil || sub.Connections != 25 || sub.Allotted != 10 {
		t.Errorf("%+v, %v", sub, err)
	}
	// What the reseller's people read in their log of where they come from.
	log, err := w.Audit(t.Context(), q, fleet.AuditQuery{Action: fleet.ActionResellerAdd})
	if err != nil || len(log.Items) != 1 || !strings.Contains(log.Items[0].Detail, "by the account above") {
		t.Errorf("%+v, %v", log, err)
	}
	page, err := w.Resellers(t.Context(), p, fleet.ListQuery{Search: "acm"})
	if err != nil || len(page.Items) != 1 || page.Items[0].Owner.Hash != "" || page.Items[0].Owner.LastSeen.IsZero() {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestRefusedResellers(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	_, q := w.sell(p, "Acme", 5)
	good := fleet.NewReseller{Name: "N", Connections: 1, Email: "a@example.com", Person: "A"}
	for _, c := range []struct {
		code  fault.Code
		field string
		edit  func(*fleet.NewReseller)
	}{
		{fault.Invalid, "name", func(n *fleet.NewReseller) { n.Name = "" }},
		{fault.Invalid, "name", func(n *fleet.NewReseller) { n.Name = "a\x00b" }},
		{fault.Invalid, "email", func(n *fleet.NewReseller) { n.Email = "x" }},
		{fault.Taken, "email", func(n *fleet.NewReseller) { n.Email = q.Email }},
		{fault.Invalid, "person", func(n *fleet.NewReseller) { n.Person = "" }},
		{fault.Invalid, "connections", func(n *fleet.NewReseller) { n.Connections = -1 }},
		{fault.Invalid, "connections", func(n *fleet.NewReseller) { n.Connections = 1 << 40 }},
		{fault.NoConnections, "connections", func(n *fleet.NewReseller) { n.Connections = 21 }},
	} {
		n := good
		c.edit(&n)
		_, _, err := w.AddReseller(t.Context(), p, n)
		wantField(t, err, c.code, c.field)
	}
	for _, r := range []fleet.Role{fleet.RoleTechnician, fleet.RoleAuditor} {
		_, _, err := w.AddReseller(t.Context(), w.as(r), good)
		wantCode(t, err, fault.Forbidden)
	}
	if page, err := w.Resellers(t.Context(), p, fleet.ListQuery{}); err != nil || len(page.Items) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	for depth := 2; depth <= 4; depth++ {
		_, q = w.sell(q, fmt.Sprint("level ", depth), 1)
	}
	_, _, err := w.AddReseller(t.Context(), q, fleet.NewReseller{Name: "N", Email: "b@example.com", Person: "B"})
	wantCode(t, err, fault.Forbidden)
}

// Connections move between an account and those below, and none is in two
// places or goes lost.
func TestAllotment(t *testing.T) {
	w := newWorld(t) // with 25 connections
	p := w.signIn(owner)
	r, q := w.sell(p, "Acme", 5)
	below, _ := w.sell(q, "Acme's", 2)
	if _, err := w.box(q, "SN-0001"); err != nil {
		t.Fatal(err)
	}
	f := func(n int, want fault.Code) {
		t.Helper()
		got, err := w.EditReseller(t.Context(), p, r.ID, fleet.ResellerEdit{Connections: &n})
		if fault.CodeOf(err) != want || err == nil && got.Allotted != n {
			t.Errorf("%d: %+v, %v, want %q", n, got, err, want)
		}
	}
	f(2, fault.Invalid) // 1 used, 2 given on
	f(26, fault.NoConnections)
	f(3, "")
	_, err := w.box(q, "SN-0002")
	wantCode(t, err, fault.NoConnections)
	f(25, "")
	_, err = w.box(p, "SN-0003") // the provider has given all away
	wantCode(t, err, fault.NoConnections)
	f(24, "")
	if _, err = w.box(p, "SN-0003"); err != nil {
		t.Error(err)
	}
	if got, err := w.Reseller(t.Context(), p, r.ID); err != nil || got.Allotted != 24 || got.Used != 1 || got.Below != 2 || got.Devices != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	// A change of a state that is none any more.
	_, err = w.EditReseller(t.Context(), p, r.ID, fleet.ResellerEdit{Match: r.Tag(), Name: ptr("X")})
	wantCode(t, err, fault.Changed)
	_, err = w.EditReseller(t.Context(), p, r.ID, fleet.ResellerEdit{Name: ptr("")})
	wantField(t, err, fault.Invalid, "name")
	if got, err := w.EditReseller(t.Context(), p, r.ID, fleet.ResellerEdit{Name: ptr("Acme & Sons")}); err != nil || got.Name != "Acme & Sons" || got.Allotted != 24 {
		t.Errorf("%+v, %v", got, err)
	}
	// What is below a reseller is its own.
	_, err = w.EditReseller(t.Context(), p, below.ID, fleet.ResellerEdit{Name: ptr("Mine")})
	wantCode(t, err, fault.NotFound)
}

// Many who give away the same connections at once give each once.
func TestConcurrentAllotment(t *testing.T) {
	w := newWorld(t) // with 25 connections
	p := w.signIn(owner)
	var g sync.WaitGroup
	var made atomic.Int32
	for i := range 10 {
		g.Go(func() {
			_, _, err := w.AddReseller(t.Context(), p, fleet.NewReseller{Name: "N", Connections: 4, Email: fmt.Sprintf("r%d@example.com", i), Person: "P"})
			if err == nil {
				made.Add(1)
			} else if fault.CodeOf(err) != fault.NoConnections {
				t.Error(err)
			}
		})
	}
	g.Wait()
	if s, err := w.Subscription(t.Context(), p); err != nil || made.Load() != 6 || s.Allotted != 24 {
		t.Errorf("%d made, %+v, %v", made.Load(), s, err)
	}
}
