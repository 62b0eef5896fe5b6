package store

import (
	"errors"
	"fmt"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

const deviceColumns = `id, account, COALESCE(site, ''), COALESCE(serial, ''), name, grp, comment, passwordless, model, firmware, public_key,
	created, activated, COALESCE(code, ''), code_expires, code_used, hs_enabled, hs_type, hs_role, hs_peer, hs_claim, joined, issued, void,
	status, reason, since, relay, remote, agent, l_account, l_passwordless, l_auto_logout`

func scanDevice(r scanner) (d fleet.Device, err error) {
	h, p, c := &d.HotStandby, &d.Presence, &d.Code
	err = r.Scan(&d.ID, &d.Account, &d.Site, &d.Serial, &d.Name, &d.Group, &d.Comment, flag{&d.Passwordless}, &d.Model, &d.Firmware, (*[]byte)(&d.Key),
		stamp{&d.Created}, stamp{&d.Activated}, &c.Hash, stamp{&c.Expires}, stamp{&c.Used},
		flag{&h.Enabled}, &h.Type, &h.Role, &h.Peer, &h.Claim, stamp{&d.Joined}, stamp{&d.Issued}, stamp{&d.Void},
		&p.Status, &p.Reason, stamp{&p.Since}, &p.Relay, &p.Remote, &p.Agent,
		flag{&p.Logins.Account}, flag{&p.Logins.Passwordless}, &p.Logins.AutoLogout)
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

// The account counts its licensed sites: counting rows would cost more with
// every one of them.

func (t *tx) AddSite(s fleet.Site) error {
	err := t.insert("INSERT INTO sites (id, account, created, licensed, active, epoch, claim, alarm) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		s.ID, s.Account, micros(s.Created), number(s.Licensed), s.Active, int64(s.Epoch), int64(s.Claim), s.Alarm)
	if err != nil || !s.Licensed {
		return err
	}
	return t.change("UPDATE accounts SET used = used + 1 WHERE id = $1", s.Account)
}

const selectSite = "SELECT id, account, created, licensed, active, epoch, claim, alarm FROM sites"

func scanSite(r scanner) (s fleet.Site, err error) {
	err = r.Scan(&s.ID, &s.Account, stamp{&s.Created}, flag{&s.Licensed}, &s.Active, &s.Epoch, &s.Claim, &s.Alarm)
	return s, err
}

func (t *tx) Site(s id.Site) (fleet.Site, error) {
	return one(t, scanSite, selectSite+" WHERE id = $1", s)
}

func (t *tx) UpdateSite(s fleet.Site) error {
	was, err := t.Site(s.ID)
	if err != nil {
		return err
	}
	err = t.change("UPDATE sites SET licensed = $2, active = $3, epoch = $4, claim = $5, alarm = $6 WHERE id = $1",
		s.ID, number(s.Licensed), s.Active, int64(s.Epoch), int64(s.Claim), s.Alarm)
	if err != nil || was.Licensed == s.Licensed {
		return err
	}
	return t.change("UPDATE accounts SET used = used + $2 WHERE id = $1", was.Account, number(s.Licensed)-number(was.Licensed))
}

func (t *tx) removeSite(s id.Site) error {
	was, err := t.Site(s)
	if err != nil {
		return err
	}
	if err := t.change("DELETE FROM sites WHERE id = $1", s); err != nil || !was.Licensed {
		return err
	}
	return t.change("UPDATE accounts SET used = used - 1 WHERE id = $1", was.Account)
}

// CountSites is the whole installation's.
func (t *tx) CountSites() (int, error) { return t.count("SELECT COALESCE(SUM(used), 0) FROM accounts") }

func (t *tx) AddDevice(d fleet.Device) error {
	h, p, c := d.HotStandby, d.Presence, d.Code
	return t.insert(`INSERT INTO devices (id, account, site, serial, name, sort_name, search, grp, comment, passwordless, model, firmware, public_key,
		created, activated, code, code_expires, code_used, hs_enabled, hs_type, hs_role, hs_peer, hs_claim, joined, issued, void,
		status, reason, since, relay, remote, agent, l_account, l_passwordless, l_auto_logout)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
		$27, $28, $29, $30, $31, $32, $33, $34, $35)`,
		d.ID, d.Account, optional(d.Site), optional(d.Serial), d.Name, sortName(d), searchText(d), d.Group, d.Comment, number(d.Passwordless),
		d.Model, d.Firmware, []byte(d.Key), micros(d.Created), micros(d.Activated), optional(c.Hash), micros(c.Expires), micros(c.Used),
		number(h.Enabled), h.Type, h.Role, h.Peer, int64(h.Claim), micros(d.Joined), micros(d.Issued), micros(d.Void),
		p.Status, p.Reason, micros(p.Since), p.Relay, p.Remote, p.Agent,
		number(p.Logins.Account), number(p.Logins.Passwordless), p.Logins.AutoLogout)
}

func (t *tx) UpdateDevice(d fleet.Device) error {
	h, c := d.HotStandby, d.Code
	return t.change(`UPDATE devices SET site = $2, serial = $3, name = $4, sort_name = $5, search = $6, grp = $7, comment = $8, passwordless = $9,
		model = $10, firmware = $11, public_key = $12, activated = $13, code = $14, code_expires = $15, code_used = $16,
		hs_enabled = $17, hs_type = $18, hs_role = $19, hs_peer = $20, hs_claim = $21, joined = $22, issued = $23, void = $24 WHERE id = $1`,
		d.ID, optional(d.Site), optional(d.Serial), d.Name, sortName(d), searchText(d), d.Group, d.Comment, number(d.Passwordless),
		d.Model, d.Firmware, []byte(d.Key), micros(d.Activated), optional(c.Hash), micros(c.Expires), micros(c.Used),
		number(h.Enabled), h.Type, h.Role, h.Peer, int64(h.Claim), micros(d.Joined), micros(d.Issued), micros(d.Void))
}

func (t *tx) SavePresence(d id.Device, p fleet.Presence) error {
	return t.insert(`UPDATE devices SET status = $2, reason = $3, since = $4, relay = $5, remote = $6, agent = $7,
		l_account = $8, l_passwordless = $9, l_auto_logout = $10 WHERE id = $1`,
		d, p.Status, p.Reason, micros(p.Since), p.Relay, p.Remote, p.Agent,
		number(p.Logins.Account), number(p.Logins.Passwordless), p.Logins.AutoLogout)
}

func (t *tx) RemoveDevice(d id.Device) error {
	dev, err := t.Device(d)
	if err != nil {
		return err
	}
	if err := t.change("DELETE FROM devices WHERE id = $1", d); err != nil || dev.Site == "" {
		return err
	}
	if _, err := t.DeviceBySite(dev.Site); !errors.Is(err, fleet.ErrNoRow) {
		return err
	}
	return t.removeSite(dev.Site)
}

// sortName folds case here and not in SQL: databases disagree about it.
func sortName(d fleet.Device) string { return strings.ToLower(d.Name) }

// searchText parts its fields by line ends, which nobody searches for.
func searchText(d fleet.Device) string {
	return strings.ToLower(strings.Join([]string{d.Name, string(d.Serial), string(d.Site), d.Model, d.Comment}, "\n"))
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
