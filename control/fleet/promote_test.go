package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// waitingSites are n sites of the account over capacity, since so long ago.
func (w *world) waitingSites(a id.Account, n int, since time.Duration) {
	w.Helper()
	w.tx(func(tx fleet.Tx) error {
		for i := range n {
			at := w.now().Add(-since + time.Duration(i)*time.Millisecond)
			if err := tx.AddSite(fleet.Site{ID: id.NewSite(), Account: a, Created: at}); err != nil {
				return fmt.Errorf("site %d: %w", i, err)
			}
		}
		return nil
	})
}

func (w *world) usedBy(a id.Account) (n int) {
	w.Helper()
	w.tx(func(tx fleet.Tx) error {
		x, err := tx.Account(a)
		n = x.Used
		return err
	})
	return n
}

// However many sites of an account wait in vain, and however long, those of
// another account get what that one has; and each account gets all it has.
func TestWhoWaitsInVainHoldsUpNobody(t *testing.T) {
	w := newWorld(t)
	if _, err := w.install(year(300)); err != nil {
		t.Fatal(err)
	}
	full, some, plenty := w.reseller("f@example.com", 1), w.reseller("s@example.com", 2), w.reseller("p@example.com", 200)
	w.waitingSites(full.ID, 120, 3*time.Hour)
	w.waitingSites(some.ID, 3, 2*time.Hour)
	w.waitingSites(plenty.ID, 120, time.Hour)
	for range 2 { // the second time there is nothing to do
		if err := w.SweepPairs(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f, s, p := w.usedBy(full.ID), w.usedBy(some.ID), w.usedBy(plenty.ID); f != 1 || s != 2 || p != 120 {
			t.Errorf("used: %d of 1, %d of 2, %d of 200 by 120", f, s, p)
		}
	}
	w.tx(func(tx fleet.Tx) error {
		left, err := tx.UnlicensedSites(some.ID, 10)
		if err != nil || len(left) != 1 || !left[0].Created.Equal(w.now().Add(-2*time.Hour+2*time.Millisecond)) {
			t.Errorf("the youngest waits: %+v, %v", left, err)
		}
		return nil
	})
}
