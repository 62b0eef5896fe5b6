package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Devices lists the account's devices, or with q.Sub those of the accounts
// below.
func (f *Fleet) Devices(ctx context.Context, p Principal, q DeviceQuery) (Page[Device], error) {
	q.Limit = pageLimit(q.Limit)
	return f.devices(ctx, p, q)
}

// devices is Devices with pages of any size.
func (f *Fleet) devices(ctx context.Context, p Principal, q DeviceQuery) (Page[Device], error) {
	if err := p.check(); err != nil {
		return Page[Device]{}, err
	}
	if err := q.check(); err != nil {
		return Page[Device]{}, err
	}
	if q.Status != "" || q.Sort == SortSince {
		// The database selects by what it has: let it have all. A list that
		// lags is better than none, so the error is logged and that is it.
		if err := f.flush(ctx); err != nil {
			f.log.Warn("write presence before a list", zap.Error(err))
		}
	}
	q.Seen = p.Access.Filter(See)
	var page Page[Device]
	err := f.view(ctx, "list devices", func(tx Tx) (err error) {
		if q.Sub {
			return f.subDevices(tx, p, q, &page)
		}
		page, err = tx.Devices(p.Account, q)
		return err
	})
	for i := range page.Items {
		f.presence.overlay(&page.Items[i])
	}
	return page, err
}

// Orders of a list of devices.
const (
	SortName   = "name"
	SortSerial = "serial"
	SortSince  = "since"
)

func (q *DeviceQuery) check() error {
	q.Search = strings.TrimSpace(q.Search)
	if err := searchable("search", q.Search); err != nil {
		return err
	}
	switch q.Status {
	case "", StatusNever, StatusNotActivated, StatusConnected, StatusDisconnected:
	default:
		return fault.New(fault.Invalid, "The status is %s, %s, %s or %s.", StatusConnected, StatusDisconnected, StatusNever, StatusNotActivated).In("status")
	}
	switch q.Sort {
	case "", SortName, SortSerial, SortSince:
	default:
		return fault.New(fault.Invalid, "The order is %s, %s or %s.", SortName, SortSerial, SortSince).In("sort")
	}
	if q.Group != "" && q.Group != GroupNone && new(id.Group).UnmarshalText([]byte(q.Group)) != nil {
		return fault.New(fault.Invalid, "The group is an id, or %s.", GroupNone).In("group")
	}
	return nil
}

// subDevices lists the accounts' below, whose groups are not p's.
func (f *Fleet) subDevices(tx Tx, p Principal, q DeviceQuery, page *Page[Device]) error {
	if !p.Access.Default.Has(See) {
		return nil
	}
	q.Seen = GroupFilter{Except: true}
	if q.Account != "" {
		under, err := below(tx, p, q.Account)
		if err != nil {
			return err
		}
		if !under {
			return fault.New(fault.NotFound, "There is no such account below yours.").In("account")
		}
	}
	var err error
	if *page, err = tx.Devices(p.Account, q); err != nil {
		return err
	}
	names := make(map[id.Account]string)
	for i := range page.Items {
		d := &page.Items[i]
		if _, ok := names[d.Account]; !ok {
			a, err := tx.Account(d.Account)
			if err != nil {
				return err
			}
			names[d.Account] = a.Name
		}
		d.Owner = names[d.Account]
	}
	return nil
}

// Device gives one device of the account, or of an account below.
func (f *Fleet) Device(ctx context.Context, p Principal, d id.Device) (Device, error) {
	return f.readDevice(ctx, p, func(tx Tx) (Device, error) {
		x, own, err := reachable(p, tx, d)
		if err != nil || own {
			return x, err
		}
		a, err := tx.Account(x.Account)
		x.Owner = a.Name
		return x, err
	})
}

// SiteDevice gives the device that a visit to the site goes to.
func (f *Fleet) SiteDevice(ctx context.Context, p Principal, s id.Site) (Device, error) {
	return f.readDevice(ctx, p, func(tx Tx) (Device, error) {
		return ownedBy(p, tx, func(tx Tx) (Device, error) { return tx.DeviceBySite(s) })
	})
}

func (f *Fleet) readDevice(ctx context.Context, p Principal, read func(Tx) (Device, error)) (Device, error) {
	if err := p.check(); err != nil {
		return Device{}, err
	}
	var d Device
	err := f.view(ctx, "read device", func(tx Tx) (err error) {
		d, err = read(tx)
		return err
	})
	if err != nil {
		return Device{}, err
	}
	f.presence.overlay(&d)
	return d, nil
}

// RemoveDevices removes many, each for itself.
func (f *Fleet) RemoveDevices(ctx context.Context, p Principal, ids []id.Device) ([]Removal, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(ids) > maxPage {
		return nil, fault.New(fault.Invalid, "At most %d PBXs can be removed at once.", maxPage).In("ids")
	}
	out := make([]Removal, 0, len(ids))
	for _, d := range ids {
		err := f.RemoveDevice(ctx, p, d, "")
		var refusal *fault.Error
		if err != nil && !errors.As(err, &refusal) {
			return out, err
		}
		out = append(out, Removal{Device: d, Err: err})
	}
	return out, nil
}

func removedAbove(e AuditEntry, d Device) AuditEntry {
	e.Account, e.Outcome, e.Detail = d.Account, outcomeOK, "by the account above"
	return e
}

// RemoveDevice ends the device's tunnels, passes and visits, and frees its
// connection. The PBX can be activated again, as a new device. It errs with
// fault.Changed unless match is "" or the device's Tag.
func (f *Fleet) RemoveDevice(ctx context.Context, p Principal, device id.Device, match string) error {
	if err := p.check(); err != nil {
		return err
	}
	now := f.clock()
	var d Device
	var revoked revocations
	err := f.decide(ctx, p.entry(now, ActionDeviceRemove, "PBX "+string(device)), func(tx Tx, e *AuditEntry) (err error) {
		var own bool
		if d, own, err = reachable(p, tx, device); err != nil {
			return err
		}
		e.Object = describe(d)
		if may := p.Access.On(d.Group); own && !may.Has(ManageDevices) || !own && !p.Access.Default.Has(ManageDevices) {
			return fault.New(fault.Forbidden, "Your role may not remove a PBX. Ask an owner or an admin.")
		}
		if err := matches(match, d.Tag()); err != nil {
			return err
		}
		if !own { // the owner's log has it too: it is the owner's device
			if err := tx.AddAudit(removedAbove(*e, d)); err != nil {
				return err
			}
		}
		visits, err := tx.LiveVisits(d.ID)
		if err != nil {
			return err
		}
		if d.Peer != "" { // the other one of the pair serves those that follow
			visits = slices.DeleteFunc(visits, func(v Visit) bool { return v.Device == "" })
		}
		if revoked, err = endVisits(tx, visits, *e, fault.DeviceRemoved); err != nil {
			return err
		}
		gone := revocationOf(fault.DeviceRemoved, voidAt(now, d.Issued))
		if err := tx.PutRevocation(deviceKey(d.ID), gone); err != nil {
			return err
		}
		revoked[deviceKey(d.ID)] = gone
		if err := tx.RemoveDevice(d.ID); err != nil || d.Site == "" {
			return err
		}
		return alone(tx, d.Site)
	})
	if err != nil {
		return err
	}
	for key, r := range revoked {
		f.revoked(ctx, key, r)
	}
	f.gone(d)
	f.freed()
	if d.Peer != "" {
		f.changed(d.Peer)
	}
	f.log.Info("device removed", zap.String("device", string(d.ID)), zap.String("site", string(d.Site)), zap.String("account", string(d.Account)))
	return nil
}
