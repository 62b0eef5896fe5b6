package fleet

import "trunkline/internal/id"

// lineage is what a watcher from above needs to know of a device's account.
type lineage struct {
	name  string
	above []id.Account
}

// lineages reads it of the devices' accounts, where somebody watches from above.
// An account that is gone has nobody above.
func (f *Fleet) lineages(tx Tx, ds []Device) (map[id.Account]lineage, error) {
	if !f.watchers.any(forBelow) {
		return nil, nil
	}
	out := make(map[id.Account]lineage)
	for _, d := range ds {
		if _, known := out[d.Account]; known {
			continue
		}
		l, err := lineageOf(tx, d.Account)
		if err != nil {
			return nil, err
		}
		out[d.Account] = l
	}
	return out, nil
}

func lineageOf(tx Tx, account id.Account) (l lineage, err error) {
	a, err := tx.Account(account)
	for l.name = a.Name; err == nil && a.Parent != ""; a, err = tx.Account(a.Parent) {
		l.above = append(l.above, a.Parent)
	}
	if noRow(err) {
		err = nil
	}
	return l, err
}
