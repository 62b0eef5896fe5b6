package store_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/id"
)

// Wherever devices come in the order of names and of serial numbers, however many
// at one place, their places follow it, and the indexes of searches know them by
// these.
func TestPlacesFollowOrders(t *testing.T) {
	const devices = 120 // with little room, enough to use it up all around
	for kind, name := range map[string]func(i int) string{
		"ascending":  func(i int) string { return fmt.Sprintf("m%06d", i) },
		"descending": func(i int) string { return fmt.Sprintf("m%06d", devices-i) },
		"alternate":  func(i int) string { return fmt.Sprintf("m%06d", devices+(i%2*2-1)*(devices-i)) },
		"random":     func(int) string { return fmt.Sprintf("m%06d", rand.IntN(1e6)) },
		"the same":   func(int) string { return "m" },
	} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			storetest.File(t, path)
			s := openSQLite(t, path)
			store.Crowd(s)
			account := fleet.Account{ID: id.NewAccount(), Name: "P"}
			var added []fleet.Device
			err := s.Tx(t.Context(), func(tx fleet.Tx) error {
				if err := tx.AddAccount(account); err != nil {
					return err
				}
				add := func(name string) error {
					d := fleet.Device{ID: id.NewDevice(), Account: account.ID, Name: name, Serial: id.Serial(fmt.Sprintf("%s-%d", name, len(added)))}
					added = append(added, d)
					return tx.AddDevice(d)
				}
				for _, name := range []string{"a", "z"} {
					if err := add(name); err != nil {
						return err
					}
				}
				for i := range devices {
					if err := add(name(i)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			verified(t, path)
			// Some get other names, and then some are gone.
			err = s.Tx(t.Context(), func(tx fleet.Tx) error {
				for i, d := range added {
					switch i % 4 {
					case 0:
						d.Name = added[len(added)-1-i].Name + "x"
					case 1:
						d.Comment, d.Serial = "of the same name", ""
					case 2:
						if err := tx.RemoveDevice(d.ID); err != nil {
							return err
						}
						continue
					}
					if err := tx.UpdateDevice(d); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			verified(t, path)
		})
	}
}

// verified checks a database by connections of their own: one that has looked at
// an index of FTS5 takes for damage what others wrote to it since.
func verified(t *testing.T, path string) {
	t.Helper()
	s, err := store.ReadSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if found, err := s.Verify(t.Context()); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
}

// A device that comes moves hardly another one, wherever it comes.
func TestFewDevicesMove(t *testing.T) {
	const devices = 600
	r := rand.New(rand.NewPCG(1, 2))
	for kind, name := range map[string]func(i int) string{
		"ascending":  func(i int) string { return fmt.Sprintf("m%06d", i) },
		"descending": func(i int) string { return fmt.Sprintf("m%06d", devices-i) },
		"random":     func(int) string { return fmt.Sprintf("m%06d", r.IntN(1e6)) },
	} {
		t.Run(kind, func(t *testing.T) {
			s := storetest.SQLite(t, zap.NewNop())
			account := fleet.Account{ID: id.NewAccount(), Name: "P"}
			add := func(names ...string) {
				t.Helper()
				err := s.Tx(t.Context(), func(tx fleet.Tx) error {
					for _, name := range names {
						if err := tx.AddDevice(fleet.Device{ID: id.NewDevice(), Account: account.ID, Name: name}); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Tx(t.Context(), func(tx fleet.Tx) error { return tx.AddAccount(account) }); err != nil {
				t.Fatal(err)
			}
			add("a", "z")
			moved := 0
			for i := 0; i < devices; i += 50 {
				before := store.Places(t, s)
				var names []string
				for j := range 50 {
					names = append(names, name(i+j))
				}
				add(names...)
				for d, place := range store.Places(t, s) {
					if was, there := before[d]; there && was != place {
						moved++
					}
				}
			}
			t.Logf("%d of %d moved", moved, devices)
			if moved > devices*3/4 {
				t.Errorf("%d devices that came moved %d others", devices, moved)
			}
		})
	}
}
