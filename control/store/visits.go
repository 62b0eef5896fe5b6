package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

const selectVisit = `SELECT v.id, v.account, v.site, v.device, v.device_name, v.user_id, v.who, v.method, v.idle, v.started, v.expires,
	v.opened, v.ended, v.end_code, v.remote,
	COALESCE((SELECT SUM(t.bytes_in) FROM visit_traffic t WHERE t.visit = v.id), 0),
	COALESCE((SELECT SUM(t.bytes_out) FROM visit_traffic t WHERE t.visit = v.id), 0),
	COALESCE((SELECT SUM(t.requests) FROM visit_traffic t WHERE t.visit = v.id), 0) FROM visits v`

func scanVisit(r scanner) (v fleet.Visit, err error) {
	var idle int64
	err = r.Scan(&v.ID, &v.Account, &v.Site, &v.Device, &v.DeviceName, &v.User, &v.Who, &v.Method, &idle, stamp{&v.Started}, stamp{&v.Expires},
		stamp{&v.Opened}, stamp{&v.Ended}, &v.EndCode, &v.Remote, &v.BytesIn, &v.BytesOut, &v.Requests)
	v.Idle = time.Duration(idle) * time.Microsecond
	v.Seen = v.Started // of a visit on record: the cookie knows better
	return v, err
}

func (t *tx) Visit(v id.Visit) (fleet.Visit, error) {
	return one(t, scanVisit, selectVisit+" WHERE v.id = $1", v)
}

func (t *tx) AddVisit(v fleet.Visit, handover string) error {
	return t.insert(`INSERT INTO visits (id, account, site, device, device_name, user_id, who, method, idle, started, expires,
		handover, opened, ended, end_code, remote) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		v.ID, v.Account, v.Site, v.Device, v.DeviceName, v.User, v.Who, v.Method, v.Idle.Microseconds(), micros(v.Started), micros(v.Expires),
		handover, micros(v.Opened), micros(v.Ended), v.EndCode, v.Remote)
}

func (t *tx) UpdateVisit(v fleet.Visit) error {
	return t.change("UPDATE visits SET opened = $2, ended = $3, end_code = $4, remote = $5 WHERE id = $1",
		v.ID, micros(v.Opened), micros(v.Ended), v.EndCode, v.Remote)
}

func (t *tx) CountTraffic(v id.Visit, at string, in, out, requests int64) error {
	return t.insert(`INSERT INTO visit_traffic (visit, relay, bytes_in, bytes_out, requests) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (visit, relay) DO UPDATE SET
			bytes_in = CASE WHEN excluded.bytes_in > visit_traffic.bytes_in THEN excluded.bytes_in ELSE visit_traffic.bytes_in END,
			bytes_out = CASE WHEN excluded.bytes_out > visit_traffic.bytes_out THEN excluded.bytes_out ELSE visit_traffic.bytes_out END,
			requests = CASE WHEN excluded.requests > visit_traffic.requests THEN excluded.requests ELSE visit_traffic.requests END`,
		v, at, max(in, 0), max(out, 0), max(requests, 0))
}

func (t *tx) Visits(account id.Account, q fleet.VisitQuery) (fleet.Page[fleet.Visit], error) {
	pair, err := t.followed(q.Device)
	if err != nil {
		return fleet.Page[fleet.Visit]{}, err
	}
	w := t.visitsOf(account, q, pair)
	total, more, err := t.countSome("visits v", w)
	if err != nil {
		return fleet.Page[fleet.Visit]{}, err
	}
	if q.Cursor != "" {
		var started int64
		var last string
		if err := readCursor(q.Cursor, &started, &last); err != nil {
			return fleet.Page[fleet.Visit]{}, err
		}
		w.and("(v.started, v.id) < (?, ?)", started, last)
	}
	vs, err := all(t, scanVisit, newestVisits(w, q.Limit+1), w.args...)
	if err != nil {
		return fleet.Page[fleet.Visit]{}, err
	}
	p := page(vs, q.Limit, total, func(v fleet.Visit) string { return cursor(micros(v.Started), v.ID) })
	p.More = more
	return p, nil
}

func newestVisits(w where, limit int) string {
	return selectVisit + w.String() + fmt.Sprintf(" ORDER BY v.started DESC, v.id DESC LIMIT %d", limit)
}

// followed is the site of a device if visits to it followed whichever of its pair
// served; "" if none did.
func (t *tx) followed(d id.Device) (site id.Site, err error) {
	if d == "" {
		return "", nil
	}
	site, err = one(t, func(r scanner) (site id.Site, err error) { err = r.Scan(&site); return site, err },
		"SELECT d.site FROM devices d WHERE d.id = $1 AND EXISTS (SELECT 1 FROM visits v WHERE v.device = '' AND v.site = d.site)", d)
	if errors.Is(err, fleet.ErrNoRow) {
		return "", nil
	}
	return site, err
}

// visitsOf are all that q asks for, from the first page on: of a device, those too
// that followed its pair, if there are any.
func (t *tx) visitsOf(account id.Account, q fleet.VisitQuery, pair id.Site) (w where) {
	// Where SQLite has several indexes to choose from, it is left the one that finds
	// least: a device's visits, or those that are on.
	own, user := "v.account", "v.user_id"
	if q.Device != "" {
		own, user = t.unindexed(own), t.unindexed(user)
		if pair != "" {
			w.and("(v.device = ? OR v.device = '' AND v.site = ?)", q.Device, pair)
		} else {
			w.and("v.device = ?", q.Device)
		}
	} else if q.Live {
		user = t.unindexed(user)
	}
	w.and(own+" = ?", account)
	if q.Live {
		w.and("v.ended = 0")
	}
	if q.Ended {
		w.and("v.ended > 0") // no index: those that are on are few, and most are the newest
	}
	if q.User != "" {
		w.and(user+" = ?", q.User)
	}
	if q.Seen != nil {
		w.scan = true // each one's device is looked up
		cond, args := inGroups(groupOfVisit, *q.Seen)
		w.and("(v.user_id = ? OR "+cond+")", append([]any{q.Self}, args...)...)
	}
	return w
}

func (t *tx) LiveVisitsBy(account id.Account, users []id.User) (map[id.User]int, error) {
	out := make(map[id.User]int, len(users))
	if len(users) == 0 {
		return out, nil
	}
	of, args := make([]string, len(users)), make([]any, len(users))
	for i, u := range users {
		of[i], args[i] = "?", u
	}
	var w where
	w.and("v.account = ?", account)
	w.and("v.ended = 0")
	w.and("v.user_id IN ("+strings.Join(of, ", ")+")", args...)
	_, err := all(t, func(r scanner) (u id.User, err error) {
		var n int
		err = r.Scan(&u, &n)
		out[u] = n
		return u, err
	}, "SELECT v.user_id, COUNT(*) FROM visits v"+w.String()+" GROUP BY v.user_id", w.args...)
	return out, err
}

// groupOfVisit is that of the device; where the visit follows whichever of a
// pair serves, of the one that does now; of none if that was removed.
const groupOfVisit = `COALESCE(CASE WHEN v.device = '' THEN
	(SELECT d.grp FROM devices d JOIN sites s ON s.id = d.site WHERE d.site = v.site ORDER BY CASE WHEN d.id = s.active THEN 0 ELSE 1 END, d.id LIMIT 1)
	ELSE (SELECT d.grp FROM devices d WHERE d.id = v.device) END, '')`

func (t *tx) LiveVisits(d id.Device) ([]fleet.Visit, error) {
	var w where
	w.and("v.ended = 0")
	if d != "" {
		w.and("(v.device = ? OR LENGTH(v.device) = 0 AND v.site = (SELECT d.site FROM devices d WHERE d.id = ?))", d, d)
	}
	return all(t, scanVisit, selectVisit+w.String()+" ORDER BY v.started, v.id", w.args...)
}

func (t *tx) LapsedVisits(account id.Account, since time.Time) ([]fleet.Visit, error) {
	return all(t, scanVisit, selectVisit+" WHERE v.account = $1 AND v.started > $2 AND v.ended > 0 AND v.end_code IN ($3, $4) ORDER BY v.started, v.id",
		account, micros(since), fault.VisitIdle, fault.HandoverInvalid)
}

func (t *tx) OverdueVisits(now, unopened time.Time, limit int) ([]fleet.Visit, error) {
	return all(t, scanVisit, selectVisit+` WHERE v.ended = 0 AND (v.expires <= $1 OR (v.opened = 0 AND v.started < $2))
		ORDER BY v.started, v.id`+fmt.Sprintf(" LIMIT %d", limit), micros(now), micros(unopened))
}

func (t *tx) Handovers(since time.Time) (map[string]token.Visit, error) {
	type row struct {
		hash  string
		visit id.Visit
	}
	rows, err := all(t, func(r scanner) (x row, err error) {
		err = r.Scan(&x.hash, &x.visit)
		return x, err
	}, "SELECT v.handover, v.id FROM visits v WHERE v.ended = 0 AND v.opened = 0 AND v.started > $1", micros(since))
	if err != nil {
		return nil, err
	}
	out := make(map[string]token.Visit, len(rows))
	for _, x := range rows {
		v, err := t.Visit(x.visit)
		if err != nil {
			return nil, err
		}
		out[x.hash] = v.Visit
	}
	return out, nil
}
