package fleet

import (
	"errors"
	"strings"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Rights end at the account: one sees what is one's own. Accounts below are
// seen by those above, who may remove their devices and no more.

// below reports whether a is an account below p's.
func below(tx Tx, p Principal, a id.Account) (bool, error) {
	if a == p.Account {
		return false, nil
	}
	own, err := tx.Account(p.Account)
	if err != nil {
		return false, err
	}
	other, err := tx.Account(a)
	if noRow(err) {
		return false, nil
	}
	return err == nil && strings.HasPrefix(other.Path, own.Path), err
}

// ownedBy hides other accounts' devices as if they did not exist, and those of
// groups that p's role may not see.
func ownedBy(p Principal, tx Tx, read func(Tx) (Device, error)) (Device, error) {
	d, err := read(tx)
	if noRow(err) || err == nil && (d.Account != p.Account || !p.Access.On(d.Group).Has(See)) {
		return Device{}, fault.New(fault.NotFound, "There is no such PBX in your account.")
	}
	return d, err
}

// reachable is ownedBy that also finds devices of accounts below; own tells
// them apart.
func reachable(p Principal, tx Tx, device id.Device) (d Device, own bool, err error) {
	d, err = tx.Device(device)
	missing := fault.New(fault.NotFound, "There is no such PBX in your account.")
	switch {
	case noRow(err):
		return Device{}, false, missing
	case err != nil:
		return Device{}, false, err
	case d.Account == p.Account:
		d, err = ownedBy(p, tx, func(Tx) (Device, error) { return d, nil })
		return d, true, err
	}
	under, err := below(tx, p, d.Account)
	if err == nil && (!under || !p.Access.Default.Has(See)) {
		err = missing
	}
	if err != nil {
		return Device{}, false, err
	}
	return d, false, nil
}

func noRow(err error) bool { return errors.Is(err, ErrNoRow) }

// accessOf is what u's role may do in u's account now.
func accessOf(tx Tx, u User) (Access, error) {
	if u.Role == RoleOwner {
		return Access{Default: AllRights}, nil
	}
	set, err := tx.RoleRights(u.Account, u.Role)
	if err != nil {
		return Access{}, err
	}
	a := Access{Default: DefaultRights(u.Role)}
	for g, r := range set {
		if g == "" {
			a.Default = r
			continue
		}
		if a.Groups == nil {
			a.Groups = make(map[id.Group]Rights, len(set))
		}
		a.Groups[g] = r
	}
	return a, nil
}
