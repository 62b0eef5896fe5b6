package fleet_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// The time that a sign-in takes does not tell who is there: whoever is asked
// for, a hash is computed, and so everybody waits for a turn at it.
func TestEveryRefusalHashes(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	off := w.as(fleet.RoleAdmin)
	if _, err := w.EditUser(t.Context(), p, off.User, fleet.UserEdit{Disabled: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	in, err := w.InviteUser(t.Context(), p, fleet.NewUser{Email: "pending@example.com", Name: "N", Role: fleet.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	emails := []string{owner, off.Email, in.User.Email, "unknown@example.com", "no address", ""}
	for _, pw := range []string{password, "wrong", "", strings.Repeat("x", 500)} {
		release := w.HoldHashing()
		for _, email := range emails {
			var err error
			// A deadline may fall into the reading of the user: then it comes later.
			for wait := time.Millisecond; !errors.Is(err, context.DeadlineExceeded) && wait < time.Second; wait *= 4 {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				_, err = w.SignIn(ctx, email, pw, addr(1))
				cancel()
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%q with %d bytes of password: %v without a hash", email, len(pw), err)
			}
		}
		release()
		for _, email := range emails[1:] {
			_, err := w.SignIn(t.Context(), email, pw, addr(1))
			wantCode(t, err, fault.WrongLogin)
			w.wait(time.Hour) // past any throttle
		}
	}
}

// What is accepted is what it is kept as, and the same when it is typed again.
func FuzzNewEmail(f *testing.F) {
	for _, s := range []string{"a@example.com", " A@B ", "a@b@c", "@", "a@-b", "a@b.", "\u212a@b", "a\x00@b", `"a"@b`, "a@b\r\nc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := fleet.NewEmail(s)
		if err != nil {
			if got != "" {
				t.Errorf("%q: both %q and %v", s, got, err)
			}
			return
		}
		again, err := fleet.NewEmail(got)
		if err != nil || again != got || strings.ToLower(got) != got || len(got) > 254 || strings.Count(got, "@") != 1 {
			t.Errorf("%q: %q, then %q, %v", s, got, again, err)
		}
		for _, c := range []byte(got) {
			if c <= ' ' || c > '~' {
				t.Errorf("%q: %q", s, got)
			}
		}
	})
}
