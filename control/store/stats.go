package store

import (
	"fmt"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

func (t *tx) DeviceCounts(account id.Account) (map[fleet.Status]int, error) {
	type row struct {
		status fleet.Status
		n      int
	}
	rows, err := all(t, func(r scanner) (x row, err error) {
		err = r.Scan(&x.status, &x.n)
		return x, err
	}, "SELECT status, CAST(SUM(n) AS BIGINT) FROM device_counts WHERE account = $1 GROUP BY status HAVING SUM(n) <> 0", account)
	if err != nil {
		return nil, err
	}
	out := make(map[fleet.Status]int, len(rows))
	for _, x := range rows {
		out[x.status] = x.n
	}
	return out, nil
}

func (t *tx) CountDevices(account id.Account, s fleet.Status, atMost int) (int, error) {
	return t.count(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM devices WHERE account = $1 AND status = $2 LIMIT %d) AS n", atMost), account, s)
}

func (t *tx) SiteTroubles(account id.Account) (overCapacity, alarms int, err error) {
	overCapacity, err = t.count("SELECT COUNT(*) FROM sites WHERE account = $1 AND licensed = 0", account)
	if err == nil {
		alarms, err = t.count("SELECT COUNT(*) FROM sites WHERE account = $1 AND alarm <> ''", account)
	}
	return overCapacity, alarms, err
}

func (t *tx) FleetCounts() (c fleet.FleetCounts, err error) {
	for _, x := range []struct {
		into  *int
		query string
	}{
		{&c.NeverConnected, "SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT) FROM device_counts WHERE status = 'never_connected'"},
		{&c.Pairs, "SELECT COUNT(*) FROM (SELECT site FROM devices WHERE site IS NOT NULL GROUP BY site HAVING COUNT(*) > 1) AS pairs"},
		{&c.Alarms, "SELECT COUNT(*) FROM sites WHERE alarm <> ''"},
		{&c.OverCapacity, "SELECT COUNT(*) FROM sites WHERE licensed = 0"},
		{&c.Visits, "SELECT COUNT(*) FROM visits WHERE ended = 0"},
	} {
		if *x.into, err = t.count(x.query); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (t *tx) CountLiveVisits(account id.Account) (int, error) {
	return t.count("SELECT COUNT(*) FROM visits WHERE account = $1 AND ended = 0", account)
}

func (t *tx) Samples(account id.Account, since time.Time) ([]fleet.Sample, error) {
	return all(t, func(r scanner) (s fleet.Sample, err error) {
		err = r.Scan(stamp{&s.At}, &s.Connected, &s.Devices, &s.Visits)
		return s, err
	}, "SELECT at, connected, devices, visits FROM samples WHERE account = $1 AND at >= $2 ORDER BY at", account, micros(since))
}

func (t *tx) AddSamples(at time.Time) error {
	return t.insert(`INSERT INTO samples (account, at, connected, devices, visits)
		SELECT d.account, CAST($1 AS BIGINT), SUM(CASE WHEN d.status = 'connected' THEN d.n ELSE 0 END), SUM(d.n),
			(SELECT COUNT(*) FROM visits v WHERE v.account = d.account AND v.ended = 0)
		FROM device_counts d GROUP BY d.account HAVING SUM(d.n) > 0 ON CONFLICT (account, at) DO NOTHING`, micros(at))
}

func (t *tx) DropSamplesBefore(at time.Time) error {
	return t.insert("DELETE FROM samples WHERE at < $1", micros(at))
}
