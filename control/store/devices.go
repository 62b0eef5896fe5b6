package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

const deviceColumns = `id, account, site, serial, name, model, firmware, public_key, activated,
	hs_enabled, hs_type, hs_role, hs_peer, issued, void, status, reason, since, relay, remote, agent`

func scanDevice(r scanner) (d fleet.Device, err error) {
	var enabled int
	h, p := &d.HotStandby, &d.Presence
	err = r.Scan(&d.ID, &d.Account, &d.Site, &d.Serial, &d.Name, &d.Model, &d.Firmware, (*[]byte)(&d.Key), stamp{&d.Activated},
		&enabled, &h.Type, &h.Role, &h.Peer, stamp{&d.Issued}, stamp{&d.Void},
		&p.Status, &p.Reason, stamp{&p.Since}, &p.Relay, &p.Remote, &p.Agent)
	h.Enabled = enabled != 0
	return d, err
}

const selectDevice = "SELECT " + deviceColumns + " FROM devices"

func (t *tx) Device(d id.Device) (fleet.Device, error) {
	return one(t, scanDevice, selectDevice+" WHERE id = $1", d)
}

func (t *tx) DeviceBySerial(sn id.Serial) (fleet.Device, error) {
	return one(t, scanDevice, selectDevice+" WHERE serial = $1", sn)
}

func (t *tx) DeviceBySite(s id.Site) (fleet.Device, error) {
	return one(t, scanDevice, selectDevice+" WHERE site = $1 ORDER BY id LIMIT 1", s)
}

func (t *tx) DevicesByID(ids []id.Device) ([]fleet.Device, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	marks, args := make([]string, len(ids)), make([]any, len(ids))
	for i, d := range ids {
		marks[i], args[i] = fmt.Sprintf("$%d", i+1), d
	}
	return all(t, scanDevice, selectDevice+" WHERE id IN ("+strings.Join(marks, ", ")+") ORDER BY id", args...)
}

func (t *tx) Devices(account id.Account, q fleet.DeviceQuery) (fleet.Page[fleet.Device], error) {
	var w where
	w.and("account = ?", account)
	if q.Status != "" {
		w.and("status = ?", q.Status)
	}
	w.containing("search", q.Search)
	total, err := t.count("SELECT COUNT(*) FROM devices"+w.String(), w.args...)
	if err != nil {
		return fleet.Page[fleet.Device]{}, err
	}
	if q.Cursor != "" {
		var name, last string
		if err := readCursor(q.Cursor, &name, &last); err != nil {
			return fleet.Page[fleet.Device]{}, err
		}
		w.and("(sort_name, id) > (?, ?)", name, last)
	}
	limit := fmt.Sprintf(" ORDER BY sort_name, id LIMIT %d", q.Limit+1)
	ds, err := all(t, scanDevice, selectDevice+w.String()+limit, w.args...)
	if err != nil {
		return fleet.Page[fleet.Device]{}, err
	}
	return page(ds, q.Limit, total, func(d fleet.Device) string { return cursor(sortName(d), d.ID) }), nil
}

func (t *tx) ConnectedDevices() ([]fleet.Device, error) {
	return all(t, scanDevice, selectDevice+" WHERE status = 'connected'")
}

func (t *tx) AddSite(s id.Site, account id.Account, created time.Time) error {
	return t.insert("INSERT INTO sites (id, account, created) VALUES ($1, $2, $3)", s, account, micros(created))
}

func (t *tx) CountSites() (int, error) { return t.count("SELECT COUNT(*) FROM sites") }

func (t *tx) AddDevice(d fleet.Device) error {
	h, p := d.HotStandby, d.Presence
	return t.insert(`INSERT INTO devices (sort_name, search, `+deviceColumns+`) VALUES
		($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`,
		sortName(d), searchText(d),
		d.ID, d.Account, d.Site, d.Serial, d.Name, d.Model, d.Firmware, []byte(d.Key), micros(d.Activated),
		number(h.Enabled), h.Type, h.Role, h.Peer, micros(d.Issued), micros(d.Void),
		p.Status, p.Reason, micros(p.Since), p.Relay, p.Remote, p.Agent)
}

func (t *tx) UpdateDevice(d fleet.Device) error {
	h := d.HotStandby
	return t.change(`UPDATE devices SET sort_name = $2, search = $3, name = $4, model = $5, firmware = $6, public_key = $7,
		hs_enabled = $8, hs_type = $9, hs_role = $10, hs_peer = $11, issued = $12, void = $13 WHERE id = $1`,
		d.ID, sortName(d), searchText(d), d.Name, d.Model, d.Firmware, []byte(d.Key),
		number(h.Enabled), h.Type, h.Role, h.Peer, micros(d.Issued), micros(d.Void))
}

func (t *tx) SavePresence(d id.Device, p fleet.Presence) error {
	return t.insert("UPDATE devices SET status = $2, reason = $3, since = $4, relay = $5, remote = $6, agent = $7 WHERE id = $1",
		d, p.Status, p.Reason, micros(p.Since), p.Relay, p.Remote, p.Agent)
}

func (t *tx) RemoveDevice(d id.Device) error {
	dev, err := t.Device(d)
	if err != nil {
		return err
	}
	if err := t.change("DELETE FROM devices WHERE id = $1", d); err != nil {
		return err
	}
	if _, err := t.DeviceBySite(dev.Site); !errors.Is(err, fleet.ErrNoRow) {
		return err
	}
	return t.change("DELETE FROM sites WHERE id = $1", dev.Site)
}

// sortName folds case here and not in SQL: databases disagree about it.
func sortName(d fleet.Device) string { return strings.ToLower(d.Name) }

// searchText parts its fields by line ends, which nobody searches for.
func searchText(d fleet.Device) string {
	return strings.ToLower(strings.Join([]string{d.Name, string(d.Serial), string(d.Site), d.Model}, "\n"))
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
