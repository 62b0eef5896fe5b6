package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/id"
)

// Whatever two replicas add, rename and index at the same time, who has written a
// device finds it at once, in each order, and the ranges have all in the end.
func TestRangesBesideWriters(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	replicas := []*store.Store{openPostgres(t, url), openPostgres(t, url)}
	for _, s := range replicas {
		store.Crowd(s)
	}
	account := fleet.Account{ID: id.NewAccount(), Name: "P"}
	if err := replicas[0].Tx(t.Context(), func(tx fleet.Tx) error { return tx.AddAccount(account) }); err != nil {
		t.Fatal(err)
	}
	const writers, devices = 4, 60
	var writing, indexing errgroup.Group
	done := make(chan struct{})
	for w := range writers {
		s, other := replicas[w%2], replicas[(w+1)%2]
		writing.Go(func() error {
			for i := range devices {
				if err := addAndFind(t, s, other, account.ID, i); err != nil {
					return fmt.Errorf("writer %d: %w", w, err)
				}
			}
			return nil
		})
	}
	for _, s := range replicas {
		indexing.Go(func() error {
			for {
				if err := s.IndexTexts(t.Context()); err != nil {
					return fmt.Errorf("index names: %w", err)
				}
				select {
				case <-done:
					return nil
				default:
				}
			}
		})
	}
	err := writing.Wait()
	close(done)
	if err := errors.Join(err, indexing.Wait(), replicas[0].IndexTexts(t.Context())); err != nil {
		t.Fatal(err)
	}
	if ranges, changes := store.CountRanges(t, replicas[0]); ranges < 10 || changes != 0 {
		t.Errorf("%d ranges, and %d changes are in none", ranges, changes)
	}
	if found, err := replicas[1].Verify(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// addAndFind adds a device, renames every second one and removes every fifth, and
// after each looks for it by what only its name has.
func addAndFind(t *testing.T, s, other *store.Store, account id.Account, i int) error {
	d := fleet.Device{ID: id.NewDevice(), Account: account}
	name := func() string { return fmt.Sprintf("%c of %s", 'a'+rune(rand.IntN(26)), d.ID) }
	serial := func() id.Serial { return id.Serial(fmt.Sprintf("%c%s", 'A'+rune(rand.IntN(26)), d.ID)) }
	d.Name, d.Serial = name(), serial()
	write := []func(tx fleet.Tx) error{func(tx fleet.Tx) error { return tx.AddDevice(d) }}
	if i%2 == 0 {
		write = append(write, func(tx fleet.Tx) error { d.Name, d.Serial = name(), serial(); return tx.UpdateDevice(d) })
	}
	if i%5 == 0 {
		write = append(write, func(tx fleet.Tx) error { return tx.RemoveDevice(d.ID) })
	}
	for n, w := range write {
		if err := s.Tx(t.Context(), w); err != nil {
			return err
		}
		want := 1
		if n > 0 && n == len(write)-1 && i%5 == 0 {
			want = 0
		}
		for _, q := range []fleet.DeviceQuery{{Search: d.Name[1:]}, {Search: string(d.Serial[1:]), Sort: fleet.SortSerial}} {
			q.Limit, q.Seen = 5, everything
			var p fleet.Page[fleet.Device]
			err := other.View(t.Context(), func(tx fleet.Tx) (err error) { p, err = store.Gone(tx, account, q); return err })
			if err != nil || len(p.Items) != want || want == 1 && (p.Items[0].Name != d.Name || p.Items[0].Serial != d.Serial) {
				return fmt.Errorf("%+v found %s, want %d of %q (%w)", q, names(p.Items), want, d.Name, err)
			}
		}
	}
	return nil
}

// A range that has grown is parted wherever its names allow it.
func TestRangesArePartedBetweenNames(t *testing.T) {
	t.Parallel()
	for kind, name := range map[string]func(i int) string{
		"ascending":      func(i int) string { return fmt.Sprintf("m%06d", i) },
		"descending":     func(i int) string { return fmt.Sprintf("m%06d", 1000-i) },
		"the same":       func(int) string { return "m" },
		"many the same":  func(i int) string { return strings.Repeat("m", 1+i/20) },
		"one, then many": func(i int) string { return fmt.Sprint("m", min(i, 1)) },
	} {
		t.Run(kind, func(t *testing.T) {
			s := openPostgres(t, storetest.Postgres(t))
			store.Crowd(s)
			account := fleet.Account{ID: id.NewAccount(), Name: "P"}
			if err := s.Tx(t.Context(), func(tx fleet.Tx) error { return tx.AddAccount(account) }); err != nil {
				t.Fatal(err)
			}
			names := make(map[string]bool)
			for i := 0; i < 80; i += 20 { // so few that ranges are not made anew
				err := s.Tx(t.Context(), func(tx fleet.Tx) error {
					for j := range 20 {
						names[name(i+j)] = true
						if err := tx.AddDevice(fleet.Device{ID: id.NewDevice(), Account: account.ID, Name: name(i + j)}); err != nil {
							return err
						}
					}
					return nil
				})
				if err := errors.Join(err, s.IndexTexts(t.Context())); err != nil {
					t.Fatal(err)
				}
			}
			ranges, changes := store.CountRanges(t, s)
			if ranges > len(names) || ranges == 1 && len(names) > 1 || changes != 0 {
				t.Errorf("%d ranges of %d names, and %d changes are in none", ranges, len(names), changes)
			}
			if found, err := s.Verify(t.Context()); err != nil || len(found) > 0 {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
}
