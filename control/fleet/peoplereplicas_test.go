package fleet_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"trunkline/control/fleet"
	"trunkline/control/store/storetest"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// pair is two control nodes on one PostgreSQL, with an owner at each.
func pair(t *testing.T) (fs [2]*fleet.Fleet, ps [2]fleet.Principal) {
	t.Helper()
	url := storetest.Postgres(t)
	a := fleet.Account{ID: id.NewAccount(), Name: "Provider", Created: start}
	for i := range fs {
		f, s, err := replica(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		u := fleet.User{
			ID: id.NewUser(), Account: a.ID, Email: fmt.Sprintf("o%d@example.com", i), Name: "O", Role: fleet.RoleOwner,
			Hash: fleet.CheapHash(password), Created: start,
		}
		err = s.Tx(t.Context(), func(tx fleet.Tx) error {
			if i == 0 {
				return errors.Join(tx.AddAccount(a), tx.AddUser(u))
			}
			return tx.AddUser(u)
		})
		if err != nil {
			t.Fatal(err)
		}
		session, err := f.SignIn(t.Context(), u.Email, password, addr(1))
		if err != nil {
			t.Fatal(err)
		}
		if ps[i], err = f.Authenticate(t.Context(), session.Token); err != nil {
			t.Fatal(err)
		}
		fs[i] = f
	}
	return fs, ps
}

// outcomes counts the codes that n calls at once end with, "" being success.
func outcomes(n int, call func(i int) error) map[fault.Code]int {
	var mu sync.Mutex
	var g sync.WaitGroup
	out := make(map[fault.Code]int)
	for i := range n {
		g.Go(func() {
			err := call(i)
			mu.Lock()
			defer mu.Unlock()
			out[fault.CodeOf(err)]++
		})
	}
	g.Wait()
	return out
}

// What must happen once happens once, whichever control node is asked.
func TestPeopleOnTwoReplicas(t *testing.T) {
	fs, ps := pair(t)
	ctx := t.Context()
	f := func(what string, got map[fault.Code]int, ok, refused int, code fault.Code) {
		t.Helper()
		if len(got) > 2 || got[""] != ok || got[code] != refused {
			t.Errorf("%s: %v, want %d and %d %s", what, got, ok, refused, code)
		}
	}
	f("the same connections given away", outcomes(20, func(i int) error {
		_, _, err := fs[i%2].AddReseller(ctx, ps[i%2], fleet.NewReseller{Name: "N", Connections: licensed / 12, Email: fmt.Sprintf("r%d@example.com", i), Person: "P"})
		return err
	}), 12, 8, fault.NoConnections)
	f("one e-mail address invited", outcomes(10, func(i int) error {
		_, err := fs[i%2].InviteUser(ctx, ps[i%2], fleet.NewUser{Email: "same@example.com", Name: "N", Role: fleet.RoleAdmin})
		return err
	}), 1, 9, fault.Taken)
	in, err := fs[0].InviteUser(ctx, ps[0], fleet.NewUser{Email: "new@example.com", Name: "N", Role: fleet.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	f("one link followed", outcomes(8, func(i int) error {
		_, err := fs[i%2].AcceptInvitation(ctx, in.Token, newPassword, addr(1))
		return err
	}), 1, 7, fault.InvitationInvalid)
	got := outcomes(2, func(i int) error { return fs[i].RemoveUser(ctx, ps[i], ps[1-i].User, "") })
	if got[""] != 1 || got[fault.LastOwner]+got[fault.SignInNeeded]+got[fault.NotFound] != 1 {
		t.Errorf("owners remove each other: %v", got)
	}
}
