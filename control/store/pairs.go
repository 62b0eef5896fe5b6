package store

import (
	"fmt"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

func (t *tx) SiteDevices(s id.Site) ([]fleet.Device, error) {
	return all(t, scanDevice, selectDevice+" WHERE d.site = $1 ORDER BY d.id", s)
}

func scanID[T ~string](r scanner) (x T, err error) {
	err = r.Scan(&x)
	return x, err
}

func (t *tx) StandbyDevices() ([]id.Device, error) {
	return all(t, scanID[id.Device], "SELECT id FROM devices WHERE hs_enabled = 1")
}

func (t *tx) UnnamedSince(at time.Time, limit int) ([]fleet.Device, error) {
	return all(t, scanDevice, selectDevice+fmt.Sprintf(" WHERE d.joined <> 0 AND d.joined <= $1 ORDER BY d.joined, d.id LIMIT %d", limit), micros(at))
}

func (t *tx) WaitingAccounts() ([]id.Account, error) {
	return all(t, scanID[id.Account], "SELECT account FROM sites WHERE licensed = 0 GROUP BY account ORDER BY MIN(created), account")
}

func (t *tx) UnlicensedSites(account id.Account, limit int) ([]fleet.Site, error) {
	return all(t, scanSite, selectSite+fmt.Sprintf(" WHERE account = $1 AND licensed = 0 ORDER BY created, id LIMIT %d", limit), account)
}

func (t *tx) RemoveSite(s id.Site) error { return t.removeSite(s) }
