package fleet_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/store/storetest"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func TestRequestIsServedOnce(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	claim := func(p fleet.Principal, key, request string) (*fleet.Claim, []byte, error) {
		t.Helper()
		return w.ClaimRequest(t.Context(), p, key, []byte(request))
	}
	first := func(p fleet.Principal, key, request string) *fleet.Claim {
		t.Helper()
		c, answer, err := claim(p, key, request)
		if c == nil || answer != nil || err != nil {
			t.Fatalf("%s: %v, %q, %v", key, c, answer, err)
		}
		return c
	}
	refused := func(want fault.Code, err error) {
		t.Helper()
		if fault.CodeOf(err) != want {
			t.Errorf("%v, not %s", err, want)
		}
	}
	c := first(p, "k", "make one")
	_, _, err := claim(p, "k", "make one")
	refused(fault.InProgress, err)
	_, _, err = claim(p, "k", "make two")
	refused(fault.KeyReused, err)

	secret := []byte("the code is K7QM-4XWZ")
	if err := w.KeepAnswer(t.Context(), c, secret); err != nil {
		t.Fatal(err)
	}
	if c, answer, err := claim(p, "k", "make one"); c != nil || !bytes.Equal(answer, secret) || err != nil {
		t.Fatalf("%v, %q, %v", c, answer, err)
	}
	_, _, err = claim(p, "k", "make two")
	refused(fault.KeyReused, err)

	// Keys are each one's own: of another person, and of each API token.
	other, byToken := p, p
	other.User, byToken.Token = id.NewUser(), id.NewToken()
	first(other, "k", "make one")
	first(byToken, "k", "make one")
	_, _, err = claim(fleet.Principal{}, "k", "make one")
	refused(fault.SignInNeeded, err)

	// A day later it is a new key.
	w.wait(24 * time.Hour)
	first(p, "k", "make two")
}

// An answer that holds a code is of no use to who reads the database.
func TestKeptAnswerIsSealed(t *testing.T) {
	w := newWorld(t)
	c, _, err := w.ClaimRequest(t.Context(), w.signIn(owner), "k", []byte("r"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.KeepAnswer(t.Context(), c, []byte("K7QM-4XWZ")); err != nil {
		t.Fatal(err)
	}
	kept := fleet.RowOfClaim(c)
	w.tx(func(tx fleet.Tx) error {
		k, err := tx.KeptAnswer(kept)
		if !k.Answered || bytes.Contains(k.Sealed, []byte("K7QM")) || len(k.Sealed) < 24+16+9 {
			t.Errorf("%+v", k)
		}
		return err
	})
}

func TestClaimThatWasDroppedOrLeft(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	claim := func() (*fleet.Claim, error) {
		c, _, err := w.ClaimRequest(t.Context(), p, "k", []byte("r"))
		return c, err
	}
	c, err := claim()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DropClaim(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	left, err := claim()
	if err != nil {
		t.Fatal("a dropped claim holds:", err)
	}
	// A replica dies with it: for a minute nobody knows whether it was served.
	w.wait(59 * time.Second)
	if _, err := claim(); fault.CodeOf(err) != fault.InProgress {
		t.Fatal(err)
	}
	w.wait(time.Second)
	next, err := claim()
	if err != nil {
		t.Fatal(err)
	}
	// The dead one rises: it neither answers nor drops what is another's now.
	if err := errors.Join(w.KeepAnswer(t.Context(), left, []byte("late")), w.DropClaim(t.Context(), left)); err != nil {
		t.Fatal(err)
	}
	if _, err := claim(); fault.CodeOf(err) != fault.InProgress {
		t.Fatal(err)
	}
	if err := w.KeepAnswer(t.Context(), next, []byte("in time")); err != nil {
		t.Fatal(err)
	}
	if _, answer, err := w.ClaimRequest(t.Context(), p, "k", []byte("r")); string(answer) != "in time" || err != nil {
		t.Fatalf("%q, %v", answer, err)
	}
}

func TestKeptAnswersAreSwept(t *testing.T) {
	w := newWorld(t)
	c, _, err := w.ClaimRequest(t.Context(), w.signIn(owner), "k", []byte("r"))
	if err != nil {
		t.Fatal(err)
	}
	there := func() error {
		return w.store.View(t.Context(), func(tx fleet.Tx) error { _, err := tx.KeptAnswer(fleet.RowOfClaim(c)); return err })
	}
	for range 2 {
		if _, err := w.SweepForTest(t.Context()); err != nil || there() != nil {
			t.Fatal(err, there())
		}
	}
	w.wait(24 * time.Hour)
	w.wait(time.Second)
	if _, err := w.SweepForTest(t.Context()); err != nil || !errors.Is(there(), fleet.ErrNoRow) {
		t.Fatal(err, there())
	}
}

// Many at once with one key, to two replicas: one serves.
func TestOneOfManyClaims(t *testing.T) {
	w := newWorld(t)
	p, one := w.signIn(owner), w.Fleet
	w.restart()
	claimMany(t, p, one, w.Fleet)
}

func TestOneOfManyClaimsOnPostgreSQL(t *testing.T) {
	url := storetest.Postgres(t)
	var replicas []*fleet.Fleet
	for range 2 {
		f, s, err := replica(url)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		replicas = append(replicas, f)
	}
	claimMany(t, fleet.Principal{User: id.NewUser(), Account: id.NewAccount()}, replicas...)
}

func claimMany(t *testing.T, p fleet.Principal, replicas ...*fleet.Fleet) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	codes := map[string]int{}
	for i := range 40 {
		wg.Go(func() {
			c, _, err := replicas[i%len(replicas)].ClaimRequest(t.Context(), p, "k", []byte("r"))
			mu.Lock()
			defer mu.Unlock()
			codes[fmt.Sprintf("%v %s", c != nil, fault.CodeOf(err))]++
		})
	}
	wg.Wait()
	if codes["true "] != 1 || codes["false in_progress"] != 39 {
		t.Error(codes)
	}
}
