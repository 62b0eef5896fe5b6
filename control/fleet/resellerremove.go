package fleet

import (
	"context"
	"fmt"
	"maps"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// RemoveReseller removes an account right below and all that it has, with the
// accounts below it, if none of their PBXs is connected. It errs with
// fault.Changed unless match is "" or the account's Tag.
func (f *Fleet) RemoveReseller(ctx context.Context, p Principal, a id.Account, match string) error {
	if err := p.check(); err != nil {
		return err
	}
	now := f.clock()
	var r Reseller
	var ds []Device
	var ended revocations
	err := f.decide(ctx, p.entry(now, ActionResellerRemove, "reseller "+string(a)), func(tx Tx, e *AuditEntry) (err error) {
		p, err := overReseller(tx, p, a, &r, e)
		if err != nil {
			return err
		}
		if err := matches(match, r.Tag()); err != nil {
			return err
		}
		if ds, err = f.unconnected(tx, r.Account); err != nil {
			return err
		}
		if len(ds) > 0 && !p.Access.Default.Has(ManageDevices) {
			return fault.New(fault.Forbidden, "This reseller has PBXs, and your role may not remove any. Ask an owner or an admin.")
		}
		vs, err := tx.LiveVisitsUnder(r.Account)
		if err != nil {
			return err
		}
		if ended, err = endVisits(tx, vs, *e, fault.AccountRemoved); err != nil {
			return err
		}
		gone := removal(ds, now)
		if err := gone.put(tx); err != nil {
			return err
		}
		maps.Copy(ended, gone)
		e.Detail = fmt.Sprintf("%s back, %s removed", count(r.Allotted, "connection", "connections"), count(len(ds), "PBX", "PBXs"))
		return tx.RemoveAccounts(r.Account)
	})
	if err != nil {
		return err
	}
	f.settle(ctx, ended)
	for _, d := range ds {
		f.gone(d)
	}
	f.freed()
	f.watchers.dismiss(func(w *watcher) bool { return w.account == a })
	return nil
}

// unconnected gives the devices of a and of the accounts below, or refuses if
// one is connected.
func (f *Fleet) unconnected(tx Tx, a Account) ([]Device, error) {
	ds, err := tx.DevicesUnder(a)
	if err != nil {
		return nil, err
	}
	refs := make([]*Device, len(ds))
	for i := range ds {
		refs[i] = &ds[i]
	}
	f.presence.overlay(refs...)
	on := 0
	for _, d := range ds {
		if d.Presence.Status == StatusConnected {
			on++
		}
	}
	if on > 0 {
		return nil, fault.New(fault.AccountInUse, "%s of this reseller, or of a reseller below, connected. Disconnect or remove them first.", count(on, "PBX is", "PBXs are"))
	}
	return ds, nil
}

// removal voids the passes of devices. Most of those that have been away for
// long hold none that is good.
func removal(ds []Device, now time.Time) revocations {
	out := make(revocations)
	for _, d := range ds {
		void := voidAt(now, d.Issued)
		if !d.Issued.IsZero() && now.Before(d.Issued.Add(token.PassLife+token.Leeway)) {
			out[deviceKey(d.ID)] = revocationOf(fault.DeviceRemoved, void)
		}
	}
	return out
}
