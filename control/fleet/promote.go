package fleet

import (
	"cmp"
	"context"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// promote gives connections that have become free to the sites that wait for
// one, in each account the oldest first: one that has none left holds up no
// other, however many of its sites wait.
func (f *Fleet) promote(ctx context.Context, now time.Time) error {
	var waiting []id.Account
	err := f.view(ctx, "read accounts over capacity", func(tx Tx) (err error) {
		waiting, err = tx.WaitingAccounts()
		return err
	})
	for _, a := range waiting {
		for more := true; more && ctx.Err() == nil; {
			var failed error
			more, failed = f.promoteIn(ctx, a, now)
			err = cmp.Or(err, failed) // of a database that is away the first is enough
		}
	}
	return err
}

// promoteIn gives an account's free connections to some of its waiting sites,
// and says whether there may be more of both.
func (f *Fleet) promoteIn(ctx context.Context, account id.Account, now time.Time) (more bool, err error) {
	free := false
	err = f.view(ctx, "read connections", func(tx Tx) (err error) {
		free, err = f.hasConnection(tx, account, now)
		return err
	})
	if err != nil || !free { // most wait in vain: that must not cost a transaction that others wait for
		return false, err
	}
	var out settled
	err = f.tx(ctx, "give connections", func(tx Tx) error {
		out = settled{}
		sites, err := tx.UnlicensedSites(account, pairBatch)
		if err != nil {
			return err
		}
		more = len(sites) == pairBatch
		for _, s := range sites {
			free, err := f.hasConnection(tx, account, now)
			if err != nil {
				return err
			}
			if !free {
				more = false
				return nil
			}
			if err := f.promoteSite(tx, s, now, &out); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	f.tellPair(ctx, out)
	return more, nil
}

// hasConnection reports whether one more site of the account finds one. An
// account that has just gone has none.
func (f *Fleet) hasConnection(tx Tx, account id.Account, now time.Time) (bool, error) {
	a, err := tx.Account(account)
	if noRow(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch err := f.mayConnect(tx, a, now); fault.CodeOf(err) {
	case "":
		return true, nil
	case fault.NoConnections, fault.LicenceExpired:
		return false, nil
	default:
		return false, err
	}
}

// promoteSite licenses a site, for which its account has a connection.
func (f *Fleet) promoteSite(tx Tx, s Site, now time.Time, out *settled) error {
	s.Licensed = true
	if err := tx.UpdateSite(s); err != nil {
		return err
	}
	ds, err := tx.SiteDevices(s.ID)
	for _, d := range ds {
		// Its agent learns it from another pass. Nobody visits it, so that costs
		// nothing.
		if err := f.move(tx, out, &d, s.ID, now); err != nil {
			return err
		}
		out.changed = append(out.changed, d.ID)
	}
	return err
}
