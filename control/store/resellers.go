package store

import (
	"database/sql"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

func (t *tx) UpdateAccount(a fleet.Account) error {
	return t.change("UPDATE accounts SET name = $2, sort_name = $3, allotted = $4 WHERE id = $1", a.ID, a.Name, strings.ToLower(a.Name), a.Allotted)
}

func (t *tx) SetWish(a id.Account, w fleet.Wish) error {
	return t.change("UPDATE accounts SET region = $2, second = $3 WHERE id = $1", a, w.Region, number(w.Second))
}

// under selects the ids of an account and of all below it. What is said of "_"
// at UsedBelow holds here too.
const under = "(SELECT b.id FROM accounts b WHERE b.path LIKE $1)"

func (t *tx) RemoveAccounts(a fleet.Account) error {
	path := a.Path + "%"
	was, err := t.wasIndexed("a.path LIKE $1", path)
	if err != nil {
		return err
	}
	if err := t.unindex(was); err != nil {
		return err
	}
	// What refers to something goes before it.
	for _, table := range []string{"visits", "devices", "sites", "users"} {
		if err := t.insert("DELETE FROM "+table+" WHERE account IN "+under, path); err != nil {
			return err
		}
	}
	return t.change("DELETE FROM accounts WHERE path LIKE $1", path)
}

func (t *tx) DevicesUnder(a fleet.Account) ([]fleet.Device, error) {
	return all(t, scanDevice, selectDevice+" WHERE d.account IN "+under, a.Path+"%")
}

func (t *tx) LiveVisitsUnder(a fleet.Account) ([]fleet.Visit, error) {
	return all(t, scanVisit, selectVisit+" WHERE v.ended = 0 AND v.account IN "+under, a.Path+"%")
}

func (t *tx) CountChildren(parent id.Account) (int, error) {
	return t.count("SELECT COUNT(*) FROM accounts WHERE parent = $1", parent)
}

// The first owner is the oldest who is not disabled.
const selectReseller = `SELECT a.id, a.parent, a.path, a.name, a.allotted, a.used, a.created,
	(SELECT COALESCE(SUM(c.allotted), 0) FROM accounts c WHERE c.parent = a.id),
	(SELECT CAST(COALESCE(SUM(c.n), 0) AS BIGINT) FROM device_counts c WHERE c.account = a.id),
	COALESCE(u.id, ''), COALESCE(u.email, ''), COALESCE(u.name, ''), COALESCE(u.disabled, 0), COALESCE(u.hash, ''),
	COALESCE(u.invite_expires, 0), COALESCE(u.last_seen, 0), COALESCE(u.created, 0)
	FROM accounts a LEFT JOIN users u ON u.id = (SELECT o.id FROM users o WHERE o.account = a.id AND o.role = 'owner'
		ORDER BY o.disabled, o.created, o.id LIMIT 1)`

func scanReseller(r scanner) (x fleet.Reseller, err error) {
	var parent sql.NullString
	a, u := &x.Account, &x.Owner
	err = r.Scan(&a.ID, &parent, &a.Path, &a.Name, &a.Allotted, &a.Used, stamp{&a.Created}, &x.Below, &x.Devices,
		&u.ID, &u.Email, &u.Name, flag{&u.Disabled}, &u.Hash, stamp{&u.Invited}, stamp{&u.LastSeen}, stamp{&u.Created})
	a.Parent, x.Devices = id.Account(parent.String), min(x.Devices, fleet.MaxTotal)
	if u.ID != "" {
		u.Account, u.Role = a.ID, fleet.RoleOwner
	}
	return x, err
}

func (t *tx) Reseller(a id.Account) (fleet.Reseller, error) {
	return one(t, scanReseller, selectReseller+" WHERE a.id = $1", a)
}

func (t *tx) Resellers(parent id.Account, q fleet.ListQuery) (fleet.Page[fleet.Reseller], error) {
	var w where
	w.and("a.parent = ?", parent)
	w.containing("a.sort_name", q.Search)
	return listed(t, "accounts a", "a.sort_name, a.id", selectReseller, scanReseller, w, q,
		func(r fleet.Reseller) string { return cursor(strings.ToLower(r.Name), r.ID) })
}
