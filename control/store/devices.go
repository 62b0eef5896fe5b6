package store

import (
	"errors"
	"fmt"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// A device comes with what its site says of it: whether the site has a
// connection, and, of a pair, who serves and who the other one is.
const selectDevice = `SELECT d.id, d.account, COALESCE(d.site, ''), COALESCE(d.serial, ''), d.name, d.grp, d.comment, d.passwordless, d.model, d.firmware,
	d.public_key, d.created, d.activated, COALESCE(d.code, ''), d.code_expires, d.code_used, d.hs_enabled, d.hs_type, d.hs_role, d.hs_peer, d.hs_claim,
	d.joined, d.issued, d.void, d.status, d.reason, d.since, d.relay, d.remote, d.agent, d.l_account, d.l_passwordless, d.l_auto_logout,
	d.region, d.second, COALESCE(s.licensed, 1), COALESCE(s.alarm, ''), COALESCE(s.active, ''), CASE WHEN COALESCE(s.active, '') = '' THEN '' ELSE
		COALESCE((SELECT o.id FROM devices o WHERE o.site = d.site AND o.id <> d.id LIMIT 1), '') END
	FROM devices d LEFT JOIN sites s ON s.id = d.site`

func scanDevice(r scanner) (d fleet.Device, err error) {
	h, p, c := &d.HotStandby, &d.Presence, &d.Code
	var licensed bool
	var active id.Device
	err = r.Scan(&d.ID, &d.Account, &d.Site, &d.Serial, &d.Name, &d.Group, &d.Comment, flag{&d.Passwordless}, &d.Model, &d.Firmware, (*[]byte)(&d.Key),
		stamp{&d.Created}, stamp{&d.Activated}, &c.Hash, stamp{&c.Expires}, stamp{&c.Used},
		flag{&h.Enabled}, &h.Type, &h.Role, &h.Peer, &h.Claim, stamp{&d.Joined}, stamp{&d.Issued}, stamp{&d.Void},
		&p.Status, &p.Reason, stamp{&p.Since}, &p.Relay, &p.Remote, &p.Agent,
		flag{&p.Logins.Account}, flag{&p.Logins.Passwordless}, &p.Logins.AutoLogout, &d.Region, &d.Second, flag{&licensed}, &d.Alarm, &active, &d.Peer)
	d.OverCapacity = !licensed
	switch {
	case d.Peer == "": // a pair of one is no pair
	case active == d.ID:
		d.Mark = fleet.MarkActive
	default:
		d.Mark = fleet.MarkStandby
	}
	return d, err
}

func (t *tx) Device(d id.Device) (fleet.Device, error) {
	return one(t, scanDevice, selectDevice+" WHERE d.id = $1", d)
}

func (t *tx) DeviceBySerial(sn id.Serial) (fleet.Device, error) {
	return one(t, scanDevice, selectDevice+" WHERE d.serial = $1", sn)
}

func (t *tx) DeviceBySite(s id.Site) (fleet.Device, error) {
	return one(t, scanDevice, selectDevice+" WHERE d.site = $1 ORDER BY CASE WHEN d.id = s.active THEN 0 ELSE 1 END, d.id LIMIT 1", s)
}

func (t *tx) DevicesByID(ids []id.Device) ([]fleet.Device, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	marks, args := make([]string, len(ids)), make([]any, len(ids))
	for i, d := range ids {
		marks[i], args[i] = fmt.Sprintf("$%d", i+1), d
	}
	return all(t, scanDevice, selectDevice+" WHERE d.id IN ("+strings.Join(marks, ", ")+") ORDER BY d.id", args...)
}

func (t *tx) ConnectedDevices() ([]fleet.Device, error) {
	return all(t, scanDevice, selectDevice+" WHERE d.status = 'connected'")
}

// The account counts its licensed sites: counting rows would cost more with
// every one of them.

func (t *tx) AddSite(s fleet.Site) error {
	err := t.unique("INSERT INTO sites (id, account, created, licensed, active, epoch, claim, alarm) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
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
	err := t.unique(`INSERT INTO devices (id, account, site, serial, name, sort_name, search, grp, comment, passwordless, model, firmware, public_key,
		created, activated, code, code_expires, code_used, hs_enabled, hs_type, hs_role, hs_peer, hs_claim, joined, issued, void,
		status, reason, since, relay, remote, agent, l_account, l_passwordless, l_auto_logout, region, second)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
		$27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37)`,
		d.ID, d.Account, optional(d.Site), optional(d.Serial), d.Name, sortName(d), searchText(d), d.Group, d.Comment, number(d.Passwordless),
		d.Model, d.Firmware, []byte(d.Key), micros(d.Created), micros(d.Activated), optional(c.Hash), micros(c.Expires), micros(c.Used),
		number(h.Enabled), h.Type, h.Role, h.Peer, int64(h.Claim), micros(d.Joined), micros(d.Issued), micros(d.Void),
		p.Status, p.Reason, micros(p.Since), p.Relay, p.Remote, p.Agent,
		number(p.Logins.Account), number(p.Logins.Passwordless), p.Logins.AutoLogout, d.Region, d.Second)
	if err != nil {
		return err
	}
	return t.index(d, keyeds...)
}

func (t *tx) UpdateDevice(d fleet.Device) error {
	h, c := d.HotStandby, d.Code
	was, err := t.wasIndexed("d.id = $1", d.ID)
	if err != nil {
		return err
	}
	err = t.unique(`UPDATE devices SET site = $2, serial = $3, name = $4, sort_name = $5, search = $6, grp = $7, comment = $8, passwordless = $9,
		model = $10, firmware = $11, public_key = $12, activated = $13, code = $14, code_expires = $15, code_used = $16,
		hs_enabled = $17, hs_type = $18, hs_role = $19, hs_peer = $20, hs_claim = $21, joined = $22, issued = $23, void = $24, region = $25, second = $26 WHERE id = $1`,
		d.ID, optional(d.Site), optional(d.Serial), d.Name, sortName(d), searchText(d), d.Group, d.Comment, number(d.Passwordless),
		d.Model, d.Firmware, []byte(d.Key), micros(d.Activated), optional(c.Hash), micros(c.Expires), micros(c.Used),
		number(h.Enabled), h.Type, h.Role, h.Peer, int64(h.Claim), micros(d.Joined), micros(d.Issued), micros(d.Void), d.Region, d.Second)
	if err != nil {
		return err
	}
	return t.reindex(was, d)
}

func (t *tx) SavePresence(d id.Device, p fleet.Presence) error {
	return t.change(`UPDATE devices SET status = $2, reason = $3, since = $4, relay = $5, remote = $6, agent = $7,
		l_account = $8, l_passwordless = $9, l_auto_logout = $10 WHERE id = $1`,
		d, p.Status, p.Reason, micros(p.Since), p.Relay, p.Remote, p.Agent,
		number(p.Logins.Account), number(p.Logins.Passwordless), p.Logins.AutoLogout)
}

func (t *tx) RemoveDevice(d id.Device) error {
	dev, err := t.Device(d)
	if err != nil {
		return err
	}
	was, err := t.wasIndexed("d.id = $1", d)
	if err != nil {
		return err
	}
	if err := errors.Join(t.change("DELETE FROM devices WHERE id = $1", d), t.unindex(was)); err != nil || dev.Site == "" {
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
	return strings.ToLower(strings.Join([]string{d.Name, string(d.Serial), string(d.Site), d.Model, d.Comment, d.Region}, "\n"))
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
