package store_test

import (
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// Who waits for a connection is found account by account, the oldest first.
func TestWaitingSites(t *testing.T) {
	onEach(t, func(w *world) {
		other := fleet.Account{ID: id.NewAccount(), Parent: w.account.ID, Name: "Reseller", Allotted: 5, Created: at(0)}
		sites := []fleet.Site{
			{ID: id.NewSite(), Account: w.account.ID, Created: at(3)},
			{ID: id.NewSite(), Account: other.ID, Created: at(2)},
			{ID: id.NewSite(), Account: other.ID, Created: at(1)},
			{ID: id.NewSite(), Account: other.ID, Created: at(0), Licensed: true},
		}
		err := w.Tx(w.Context(), func(tx fleet.Tx) error {
			if err := tx.AddAccount(other); err != nil {
				return err
			}
			for _, s := range sites {
				if err := tx.AddSite(s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
		err = w.View(w.Context(), func(tx fleet.Tx) error {
			accounts, err := tx.WaitingAccounts()
			if err != nil || len(accounts) != 2 || accounts[0] != other.ID || accounts[1] != w.account.ID {
				w.Errorf("accounts: %v, %v", accounts, err)
			}
			all, err := tx.UnlicensedSites(other.ID, 10)
			if err != nil || len(all) != 2 || all[0].ID != sites[2].ID || all[1].ID != sites[1].ID {
				w.Errorf("sites: %+v, %v", all, err)
			}
			first, err := tx.UnlicensedSites(other.ID, 1)
			if err != nil || len(first) != 1 || first[0].ID != sites[2].ID {
				w.Errorf("the first: %+v, %v", first, err)
			}
			return nil
		})
		if err != nil {
			w.Error(err)
		}
	})
}
