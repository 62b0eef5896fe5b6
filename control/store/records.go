package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

func (t *tx) DeviceByCode(hash string) (fleet.Device, error) {
	return one(t, scanDevice, selectDevice+" WHERE d.code = $1", hash)
}

const selectGroup = `SELECT g.id, g.account, g.name, g.created,
	(SELECT CAST(COALESCE(SUM(c.n), 0) AS BIGINT) FROM device_counts c WHERE c.account = g.account AND c.grp = g.id) FROM device_groups g`

func scanGroup(r scanner) (g fleet.Group, err error) {
	err = r.Scan(&g.ID, &g.Account, &g.Name, stamp{&g.Created}, &g.Devices)
	g.Devices = min(g.Devices, fleet.MaxTotal)
	return g, err
}

func (t *tx) Group(g id.Group) (fleet.Group, error) {
	return one(t, scanGroup, selectGroup+" WHERE g.id = $1", g)
}

func (t *tx) Groups(account id.Account) ([]fleet.Group, error) {
	return all(t, scanGroup, selectGroup+" WHERE g.account = $1 ORDER BY g.sort_name", account)
}

func (t *tx) GroupPage(account id.Account, after string, limit int) (fleet.Page[fleet.Group], error) {
	var w where
	w.and("g.account = ?", account)
	return listed(t, "device_groups g", "g.sort_name, g.id", selectGroup, scanGroup, w, fleet.ListQuery{Cursor: after, Limit: limit},
		func(g fleet.Group) string { return cursor(strings.ToLower(g.Name), g.ID) })
}

func (t *tx) AddGroup(g fleet.Group) error {
	return t.unique("INSERT INTO device_groups (id, account, name, sort_name, created) VALUES ($1, $2, $3, $4, $5)",
		g.ID, g.Account, g.Name, strings.ToLower(g.Name), micros(g.Created))
}

func (t *tx) UpdateGroup(g fleet.Group) error {
	return t.unique("UPDATE device_groups SET name = $2, sort_name = $3 WHERE id = $1", g.ID, g.Name, strings.ToLower(g.Name))
}

func (t *tx) RemoveGroup(g id.Group) error {
	was, err := t.wasIndexed("d.grp = $1", g)
	if err != nil {
		return err
	}
	if err := errors.Join(t.insert("UPDATE devices SET grp = '' WHERE grp = $1", g), t.reindexGroup(was, "")); err != nil {
		return err
	}
	if err := t.insert("DELETE FROM role_rights WHERE grp = $1", g); err != nil {
		return err
	}
	return t.change("DELETE FROM device_groups WHERE id = $1", g)
}

func (t *tx) AddDeviceEvent(d id.Device, c fleet.StatusChange, keep int) error {
	if c.Kind == string(fleet.StatusDisconnected) {
		// Where no agent says when, each control node has a time of its own.
		last, err := one(t, func(r scanner) (last fleet.StatusChange, err error) {
			err = r.Scan(&last.Kind, &last.Reason)
			return last, err
		}, "SELECT kind, reason FROM device_events WHERE device = $1 ORDER BY seq DESC LIMIT 1", d)
		if err == nil && last.Kind == c.Kind && last.Reason == c.Reason {
			return nil
		}
		if err != nil && !errors.Is(err, fleet.ErrNoRow) {
			return err
		}
	}
	n, err := t.exec(`INSERT INTO device_events (device, at, kind, reason, detail)
		SELECT id, CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT) FROM devices WHERE id = $1 ON CONFLICT (device, at, kind) DO NOTHING`,
		d, micros(c.At), c.Kind, c.Reason, c.Detail)
	if err != nil || n == 0 {
		return err
	}
	return t.insert(`DELETE FROM device_events WHERE device = $1 AND seq <= (
		SELECT seq FROM device_events WHERE device = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2)`, d, keep)
}

func (t *tx) DeviceEvents(d id.Device, after string, limit int) (fleet.Page[fleet.StatusChange], error) {
	type row struct {
		seq int64
		fleet.StatusChange
	}
	var w where
	w.and("device = ?", d)
	total, more, err := t.countSome("device_events", w)
	if err != nil {
		return fleet.Page[fleet.StatusChange]{}, err
	}
	if after != "" {
		var seq int64
		if err := readCursor(after, &seq); err != nil {
			return fleet.Page[fleet.StatusChange]{}, err
		}
		w.and("seq < ?", seq)
	}
	rows, err := all(t, func(r scanner) (x row, err error) {
		err = r.Scan(&x.seq, stamp{&x.At}, &x.Kind, &x.Reason, &x.Detail)
		return x, err
	}, "SELECT seq, at, kind, reason, detail FROM device_events"+w.String()+fmt.Sprintf(" ORDER BY seq DESC LIMIT %d", limit+1), w.args...)
	if err != nil {
		return fleet.Page[fleet.StatusChange]{}, err
	}
	p := page(rows, limit, total, func(x row) string { return cursor(x.seq) })
	out := fleet.Page[fleet.StatusChange]{Next: p.Next, Total: p.Total, More: more}
	for _, x := range p.Items {
		out.Items = append(out.Items, x.StatusChange)
	}
	return out, nil
}

func (t *tx) DropAuditBefore(at time.Time, limit int) (int, error) {
	n, err := t.exec(fmt.Sprintf("DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE at < $1 ORDER BY at LIMIT %d)", limit), micros(at))
	if err != nil || n == limit { // there may be more of these hours
		return n, err
	}
	_, err = t.exec("DELETE FROM audit_hours WHERE hour < $1", auditHour(at))
	return n, err
}

func (t *tx) RoleRights(account id.Account, r fleet.Role) (map[id.Group]fleet.Rights, error) {
	type row struct {
		group  id.Group
		rights fleet.Rights
	}
	rows, err := all(t, func(s scanner) (x row, err error) {
		err = s.Scan(&x.group, &x.rights)
		return x, err
	}, "SELECT grp, rights FROM role_rights WHERE account = $1 AND role = $2", account, r)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	out := make(map[id.Group]fleet.Rights, len(rows))
	for _, x := range rows {
		out[x.group] = x.rights
	}
	return out, nil
}
