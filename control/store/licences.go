package store

import (
	"fmt"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

func (t *tx) Licences(limit int) ([]fleet.LicenceFile, error) {
	return all(t, func(r scanner) (l fleet.LicenceFile, err error) {
		err = r.Scan(&l.File, stamp{&l.Installed}, &l.Actor)
		return l, err
	}, fmt.Sprintf("SELECT file, installed, actor FROM licences ORDER BY seq DESC LIMIT %d", limit))
}

func (t *tx) AddLicence(l fleet.LicenceFile) error {
	return t.insert("INSERT INTO licences (file, installed, actor) VALUES ($1, $2, $3)", l.File, micros(l.Installed), l.Actor)
}

func (t *tx) SumAllotted(parent id.Account) (int, error) {
	return t.count("SELECT COALESCE(SUM(allotted), 0) FROM accounts WHERE parent = $1", parent)
}

// UsedBelow reads a path as a prefix; "_" in it, which LIKE takes for any
// character, matches itself among others, and no two ids differ in it alone.
func (t *tx) UsedBelow(a fleet.Account) (int, error) {
	return t.count("SELECT COALESCE(SUM(used), 0) FROM accounts WHERE path LIKE $1 AND id <> $2", a.Path+"%", a.ID)
}
