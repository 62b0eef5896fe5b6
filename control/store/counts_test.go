package store_test

import (
	"math/rand/v2"
	"testing"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/id"
)

// Whatever comes, goes, moves or changes its status, what is counted is what there
// is, also where some of it is added up and some is not yet.
func TestCountsAreOfWhatThereIs(t *testing.T) {
	onEach(t, func(w *world) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		below := fleet.Account{ID: id.NewAccount(), Parent: w.account.ID, Name: "Below", Created: at(0)}
		groups := []id.Group{"", "grp_one", "grp_two"}
		w.do(func(tx fleet.Tx) error {
			for _, g := range groups[1:] {
				if err := tx.AddGroup(fleet.Group{ID: g, Account: w.account.ID, Name: string(g), Created: at(0)}); err != nil {
					return err
				}
			}
			return tx.AddAccount(below)
		})
		states := []fleet.Status{fleet.StatusConnected, fleet.StatusDisconnected, fleet.StatusNever, fleet.StatusNotActivated}
		there := []fleet.Device{w.device}
		for i := range 120 {
			n := r.IntN(len(there))
			d := &there[n]
			w.do(func(tx fleet.Tx) error {
				switch r.IntN(5) {
				case 0:
					d.Presence.Status = states[r.IntN(len(states))]
					return tx.SavePresence(d.ID, d.Presence)
				case 1:
					if d.Account == w.account.ID {
						d.Group = groups[r.IntN(len(groups))]
					}
					return tx.UpdateDevice(*d)
				case 2:
					if len(there) == 1 {
						return nil
					}
					gone := d.ID
					there = append(there[:n], there[n+1:]...)
					return tx.RemoveDevice(gone)
				}
				new := fleet.Device{ID: id.NewDevice(), Account: w.account.ID, Name: someName(r), Group: groups[r.IntN(len(groups))],
					Presence: fleet.Presence{Status: states[r.IntN(len(states))]}}
				if r.IntN(3) == 0 {
					new.Account, new.Group = below.ID, ""
				}
				there = append(there, new)
				return tx.AddDevice(new)
			})
			if i%20 == 0 {
				w.addUpCounts()
			}
			if i%15 == 0 {
				w.counts(there, below.ID)
			}
		}
		w.do(func(tx fleet.Tx) error { return tx.RemoveGroup(groups[1]) })
		for i := range there {
			if there[i].Group == groups[1] {
				there[i].Group = ""
			}
		}
		w.counts(there, below.ID)
		w.addUpCounts()
		w.counts(there, below.ID)
		w.do(func(tx fleet.Tx) error {
			a, err := tx.Account(below.ID)
			if err != nil {
				return err
			}
			return tx.RemoveAccounts(a)
		})
		w.addUpCounts()
		if found, err := w.Store.(*store.Store).Verify(t.Context()); err != nil || len(found) > 0 {
			t.Errorf("%v, %v", found, err)
		}
	})
}

func (w *world) addUpCounts() {
	w.Helper()
	if err := w.Store.(*store.Store).AddUpCounts(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// counts compares all that is counted with there.
func (w *world) counts(there []fleet.Device, below id.Account) {
	w.Helper()
	own, others, grouped, never := map[fleet.Status]int{}, 0, map[id.Group]int{}, 0
	for _, d := range there {
		if d.Presence.Status == fleet.StatusNever {
			never++
		}
		if d.Account == below {
			others++
			continue
		}
		own[d.Presence.Status]++
		grouped[d.Group]++
	}
	w.see(func(tx fleet.Tx) error {
		got, err := tx.DeviceCounts(w.account.ID)
		if err != nil {
			return err
		}
		equal(w.T, got, own)
		gs, err := tx.Groups(w.account.ID)
		if err != nil {
			return err
		}
		for _, g := range gs {
			equal(w.T, g.Devices, grouped[g.ID])
		}
		reseller, err := tx.Reseller(below)
		if err != nil {
			return err
		}
		equal(w.T, reseller.Devices, others)
		all, err := tx.FleetCounts()
		equal(w.T, all.NeverConnected, never)
		return err
	})
}
