package fleet_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/fault"
)

func TestInit(t *testing.T) {
	w := newWorld(t)
	s, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "empty.db"), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w.restartOn(s)
	if created, err := w.Init(t.Context(), owner, "Provider", password); !created || err != nil {
		t.Fatalf("%v, %v", created, err)
	}
	w.signIn(owner)
	if created, err := w.Init(t.Context(), "second@example.com", "Second", password); created || err != nil {
		t.Errorf("%v, %v", created, err)
	}
	_, err = w.SignIn(t.Context(), "second@example.com", password, addr(1))
	wantCode(t, err, fault.WrongLogin)
	for _, c := range [][3]string{{"x", "N", password}, {owner, "", password}, {owner, "N", "short"}, {owner, "a\x00b", password}} {
		_, err := w.Init(t.Context(), c[0], c[1], c[2])
		wantCode(t, err, fault.Invalid)
	}
}

func TestSession(t *testing.T) {
	w := newWorld(t)
	s, err := w.SignIn(t.Context(), " OWNER@example.com", password, addr(1))
	if err != nil || s.User.Hash != "" || s.Account.Name != "Provider" || !s.Expires.Equal(start.Add(12*time.Hour)) {
		t.Fatalf("%+v, %v", s, err)
	}
	p, err := w.Authenticate(t.Context(), s.Token)
	if err != nil || p.Email != owner || p.Role != fleet.RoleOwner || strings.Contains(p.Session, s.Token) {
		t.Errorf("%+v, %v", p, err)
	}
	other, _ := w.SignIn(t.Context(), owner, password, addr(1))
	for _, bad := range []string{"", "x", s.Token[:42] + "!", s.Token + "x", strings.Repeat("A", 43)} {
		_, err := w.Authenticate(t.Context(), bad)
		wantCode(t, err, fault.SignInNeeded)
	}
	if err := w.SignOut(t.Context(), p); err != nil {
		t.Error(err)
	}
	_, err = w.Authenticate(t.Context(), s.Token)
	wantCode(t, err, fault.SignInNeeded)
	if _, err = w.Authenticate(t.Context(), other.Token); err != nil {
		t.Errorf("another session ended too: %v", err)
	}
	w.wait(12 * time.Hour)
	_, err = w.Authenticate(t.Context(), other.Token)
	wantCode(t, err, fault.SignInNeeded)
	if got := w.audit(); !slices.Equal(got, []string{"sign_in ok owner@example.com", "sign_in ok owner@example.com", "sign_out ok owner@example.com"}) {
		t.Errorf("audit %q", got)
	}
}

// Nobody who is not signed in gets anything.
func TestNobody(t *testing.T) {
	w := newWorld(t)
	var p fleet.Principal
	_, e1 := w.Devices(t.Context(), p, fleet.DeviceQuery{})
	_, e2 := w.Device(t.Context(), p, "d")
	_, e3 := w.SiteDevice(t.Context(), p, "s")
	_, e4 := w.StartVisit(t.Context(), p, fleet.VisitRequest{})
	_, e5 := w.Visits(t.Context(), p, fleet.VisitQuery{})
	_, e6 := w.Subscription(t.Context(), p)
	_, e7 := w.Audit(t.Context(), p, fleet.AuditQuery{})
	for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, w.EndVisit(t.Context(), p, "v"), w.RemoveDevice(t.Context(), p, "d", ""), w.SignOut(t.Context(), p)} {
		if fault.CodeOf(err) != fault.SignInNeeded {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, open := <-w.Watch(t.Context(), p); open {
		t.Error("nobody watches")
	}
}

// Wrong passwords run into a limit, of the address and of the e-mail; right
// ones do not count; and time heals.
func TestThrottle(t *testing.T) {
	w := newWorld(t)
	w.addUser("two@example.com", fleet.RoleAdmin, false)
	ctx := t.Context()
	for range 30 {
		w.signIn(owner)
	}
	for range 10 {
		_, err := w.SignIn(ctx, owner, "wrong", addr(1))
		wantCode(t, err, fault.WrongLogin)
	}
	before := len(w.auditPage().Items)
	for range 5 {
		_, err := w.SignIn(ctx, owner, password, addr(1)) // right, too late
		wantCode(t, err, fault.TooMany)
		var f *fault.Error
		if errors.As(err, &f); f.Retry <= 0 || f.Retry > 30*time.Second {
			t.Errorf("retry after %v", f.Retry)
		}
	}
	if n := len(w.auditPage().Items) - before; n != 1 {
		t.Errorf("%d entries for a time of guessing, want 1", n)
	}
	_, err := w.SignIn(ctx, "two@example.com", password, addr(1))
	wantCode(t, err, fault.TooMany) // the address
	_, err = w.SignIn(ctx, owner, password, addr(2))
	wantCode(t, err, fault.TooMany) // the e-mail
	if _, err := w.SignIn(ctx, "two@example.com", password, addr(2)); err != nil {
		t.Errorf("somebody else, from elsewhere: %v", err)
	}
	a := newPBX("SN-0001").request()
	a.Remote = addr(2)
	_, err = w.Activate(ctx, a)
	wantCode(t, err, fault.TooMany) // the same door

	w.wait(30 * time.Second)
	w.signIn(owner)
	w.signIn(owner)
	_, err = w.SignIn(ctx, owner, "wrong", addr(1))
	wantCode(t, err, fault.WrongLogin)
	_, err = w.SignIn(ctx, owner, "wrong", addr(1))
	wantCode(t, err, fault.TooMany)
}

// However many keys strangers think of, the memory is bounded, and whoever
// has run dry stays so.
func TestThrottleIsBounded(t *testing.T) {
	th := fleet.NewThrottleForTest(fleet.Throttle{Burst: 2, Every: time.Hour})
	th.Take(start, "dry")
	th.Take(start, "dry")
	for i := range fleet.MaxThrottled + 50 {
		th.Take(start, string(rune(i)))
	}
	if n := th.Len(); n > fleet.MaxThrottled {
		t.Errorf("%d buckets", n)
	}
	if wait, first := th.Take(start, "dry"); wait != time.Hour || !first {
		t.Errorf("wait %v, first %v", wait, first)
	}
	th.GiveBack(start.Add(24*time.Hour), "dry")
	if wait, _ := th.Take(start.Add(24*time.Hour), "dry", "b"); wait != 0 {
		t.Errorf("wait %v a day later", wait)
	}
}

func TestAddressKeys(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
	} {
		if got := fleet.AddressKey(netip.MustParseAddr(c.a)) == fleet.AddressKey(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s: same %v", c.a, c.b, got)
		}
	}
}

// A caller who has gone is not waited for, and costs nobody a try.
func TestCancelledSignIn(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, err := w.SignIn(ctx, owner, password, addr(1)); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v", err)
		}
	}
	w.signIn(owner)
}

func TestPasswordHashes(t *testing.T) {
	phc := fleet.HashPassword(password)
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%s", phc)
	}
	for pw, want := range map[string]bool{password: true, password + " ": false, "": false} {
		if ok, err := fleet.PasswordMatches(phc, pw); ok != want || err != nil {
			t.Errorf("%q: %v, %v", pw, ok, err)
		}
	}
	// Made by the reference implementation: argon2 somesalt -id -t 2 -k 65536 -p 1
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, err := fleet.PasswordMatches(reference, "password"); !ok || err != nil {
		t.Errorf("reference: %v, %v", ok, err)
	}
}

// A damaged row is an error, never a match, a crash or a gigabyte.
func FuzzPasswordMatches(f *testing.F) {
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$$")
	f.Add("$argon2id$v=19$m=1,t=4294967295,p=0$c2FsdA$")
	f.Add("$2y$10$x")
	f.Fuzz(func(t *testing.T, phc string) {
		if len(phc) > 128 || strings.Count(phc, ",t=") > 1 {
			return
		}
		if ok, err := fleet.PasswordMatches(phc, "x"); ok && err != nil {
			t.Errorf("%q: both a match and %v", phc, err)
		}
	})
}
