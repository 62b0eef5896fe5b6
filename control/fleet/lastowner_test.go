package fleet_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

func TestLastOwner(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	in, err := w.InviteUser(t.Context(), p, fleet.NewUser{Email: "b@example.com", Name: "B", Role: fleet.RoleOwner})
	if err != nil {
		t.Fatal(err)
	}
	// One who has not come yet, and one who is disabled, do not count.
	off := w.as(fleet.RoleOwner)
	if _, err := w.EditUser(t.Context(), p, off.User, fleet.UserEdit{Disabled: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	_, e1 := w.EditUser(t.Context(), p, p.User, fleet.UserEdit{Role: ptr(fleet.RoleAdmin)})
	_, e2 := w.EditUser(t.Context(), p, p.User, fleet.UserEdit{Disabled: ptr(true)})
	for _, err := range []error{e1, e2, w.RemoveUser(t.Context(), p, p.User, "")} {
		wantCode(t, err, fault.LastOwner)
	}
	_, err = w.ReinviteUser(t.Context(), p, p.User)
	wantCode(t, err, fault.Forbidden)
	w.signIn(owner)
	if _, err := w.AcceptInvitation(t.Context(), in.Token, newPassword, addr(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.EditUser(t.Context(), p, p.User, fleet.UserEdit{Role: ptr(fleet.RoleAdmin)}); err != nil {
		t.Errorf("with another owner there: %v", err)
	}
}

// Two owners who remove each other at once leave one.
func TestOwnersRemoveEachOther(t *testing.T) {
	w := newWorld(t)
	a, b := w.signIn(owner), w.as(fleet.RoleOwner)
	var g sync.WaitGroup
	var gone atomic.Int32
	for _, x := range [][2]fleet.Principal{{a, b}, {b, a}} {
		g.Go(func() {
			if w.RemoveUser(t.Context(), x[0], x[1].User, "") == nil {
				gone.Add(1)
			}
		})
	}
	g.Wait()
	if gone.Load() != 1 {
		t.Errorf("%d went", gone.Load())
	}
}
