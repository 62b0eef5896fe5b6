package fleet

import (
	"context"
	"errors"
	"strings"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const maxSearch = 100 // bytes

// Devices lists the account's devices by name.
func (f *Fleet) Devices(ctx context.Context, p Principal, q DeviceQuery) (Page[Device], error) {
	if err := p.check(); err != nil {
		return Page[Device]{}, err
	}
	q.Limit, q.Search = pageLimit(q.Limit), strings.TrimSpace(q.Search)
	if len(q.Search) > maxSearch {
		return Page[Device]{}, fault.New(fault.Invalid, "Search for at most %d bytes.", maxSearch).In("search")
	}
	switch q.Status {
	case "", StatusNever:
	case StatusConnected, StatusDisconnected:
		// The database selects by what it has: let it have all. A list that
		// lags is better than none, so the error is logged and that is it.
		if err := f.flush(ctx); err != nil {
			f.log.Warn("write presence before a list", zap.Error(err))
		}
	default:
		return Page[Device]{}, fault.New(fault.Invalid, "The status is %s, %s or %s.", StatusConnected, StatusDisconnected, StatusNever).In("status")
	}
	var page Page[Device]
	err := f.view(ctx, "list devices", func(tx Tx) (err error) {
		page, err = tx.Devices(p.Account, q)
		return err
	})
	for i := range page.Items {
		f.presence.overlay(&page.Items[i])
	}
	return page, err
}

// Device gives one device of the account.
func (f *Fleet) Device(ctx context.Context, p Principal, d id.Device) (Device, error) {
	return f.ownDevice(ctx, p, func(tx Tx) (Device, error) { return tx.Device(d) })
}

// SiteDevice gives the device that a visit to the site goes to.
func (f *Fleet) SiteDevice(ctx context.Context, p Principal, s id.Site) (Device, error) {
	return f.ownDevice(ctx, p, func(tx Tx) (Device, error) { return tx.DeviceBySite(s) })
}

func (f *Fleet) ownDevice(ctx context.Context, p Principal, read func(Tx) (Device, error)) (Device, error) {
	if err := p.check(); err != nil {
		return Device{}, err
	}
	var d Device
	err := f.view(ctx, "read device", func(tx Tx) (err error) {
		d, err = ownedBy(p.Account, tx, read)
		return err
	})
	if err != nil {
		return Device{}, err
	}
	f.presence.overlay(&d)
	return d, nil
}

// ownedBy hides other accounts' devices as if they did not exist.
func ownedBy(account id.Account, tx Tx, read func(Tx) (Device, error)) (Device, error) {
	d, err := read(tx)
	if errors.Is(err, ErrNoRow) || err == nil && d.Account != account {
		return Device{}, fault.New(fault.NotFound, "There is no such PBX in your account.")
	}
	return d, err
}

// RemoveDevice ends the device's tunnels, passes and visits, and frees its
// connection. The PBX can be activated again, as a new device.
func (f *Fleet) RemoveDevice(ctx context.Context, p Principal, device id.Device) error {
	if err := p.check(); err != nil {
		return err
	}
	now := f.clock()
	var d Device
	var revoked map[string]bus.Revocation
	err := f.decide(ctx, p.entry(now, ActionDeviceRemove, "PBX "+string(device)), func(tx Tx, e *AuditEntry) (err error) {
		d, err = ownedBy(p.Account, tx, func(tx Tx) (Device, error) { return tx.Device(device) })
		if err != nil {
			return err
		}
		e.Object = describe(d)
		if !p.Role.mayRemove() {
			return fault.New(fault.Forbidden, "Your role may not remove a PBX. Ask an owner or an admin.")
		}
		visits, err := tx.LiveVisits(d.ID)
		if err != nil {
			return err
		}
		revoked = map[string]bus.Revocation{deviceKey(d.ID): revocationOf(fault.DeviceRemoved, voidAt(now, d.Issued))}
		for _, v := range visits {
			v.Ended, v.EndCode = now, fault.DeviceRemoved
			revoked[visitKey(v.ID)] = bus.Revocation{Code: fault.DeviceRemoved, At: now, Until: v.Expires}
			if err := tx.UpdateVisit(v); err != nil {
				return err
			}
		}
		for key, r := range revoked {
			if err := tx.PutRevocation(key, r); err != nil {
				return err
			}
		}
		return tx.RemoveDevice(d.ID)
	})
	if err != nil {
		return err
	}
	for key, r := range revoked {
		f.revoked(ctx, key, r)
	}
	f.presence.forget(d)
	f.log.Info("device removed", zap.String("device", string(d.ID)), zap.String("site", string(d.Site)), zap.String("account", string(d.Account)))
	return nil
}
