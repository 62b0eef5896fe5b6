package fleet

import (
	"context"
	"time"

	"trunkline/internal/fault"
)

// byCode is for a PBX that brings an authentication code. Whatever is wrong
// with a code, the answer is the same.
func (f *Fleet) byCode(ctx context.Context, e *AuditEntry, a Activation) (func(Tx, *AuditEntry) (activated, error), error) {
	rejected := fault.New(fault.Rejected, "The activation was rejected. Check the authentication code: it can be used once, and expires. Ask your provider for another one.").In("code")
	keys := []string{addressKey(a.Remote)}
	wait, first, err := f.tries.begin(ctx, f.now, keys...)
	if err != nil {
		return nil, f.failed("check code", err)
	}
	if wait > 0 {
		f.metrics.throttled.Inc()
		refusal := fault.New(fault.TooMany, "Too many wrong codes or passwords. Try again in %s.", wait.Round(time.Second)).After(wait)
		if !first {
			f.metrics.decided(e.Action, refusal)
			return nil, refusal
		}
		return nil, f.refuse(ctx, *e, refusal)
	}
	right := true
	defer func() { f.tries.end(f.now(), right, keys...) }()
	hash, plausible := codeHash(a.Code)
	if plausible {
		err = f.read(ctx, "check code", func(tx Tx) error {
			_, err := recordOf(tx, hash, a, e.At, e)
			return err
		})
	}
	switch {
	case !plausible || noRow(err):
		right = false
		return nil, f.refuse(ctx, *e, rejected)
	case err != nil:
		return nil, f.failed("check code", err)
	}
	return func(tx Tx, e *AuditEntry) (activated, error) {
		d, err := recordOf(tx, hash, a, e.At, e) // again: somebody else may have used it since
		if noRow(err) {
			return activated{}, rejected
		}
		if err != nil {
			return activated{}, err
		}
		return f.activateRecord(tx, d, a, e, rejected)
	}, nil
}

// recordOf finds the record that a code belongs to, or errs with ErrNoRow if
// the code is not good for this PBX now: one that was used is, for the same
// PBX with the same key, whose answer may have got lost.
func recordOf(tx Tx, hash string, a Activation, now time.Time, e *AuditEntry) (Device, error) {
	d, err := tx.DeviceByCode(hash)
	if err != nil {
		return Device{}, err
	}
	e.Account, e.Object = d.Account, "PBX "+d.Name+" ("+string(a.Serial)+")"
	again := d.Serial == a.Serial && sameKey(d.Key, a.Key)
	switch {
	case !d.Code.Used.IsZero() && !again,
		d.Code.Used.IsZero() && !now.Before(d.Code.Expires),
		d.Serial != "" && d.Serial != a.Serial:
		return Device{}, ErrNoRow
	}
	return d, nil
}

// activateRecord binds a PBX to the record that was made for it.
func (f *Fleet) activateRecord(tx Tx, d Device, a Activation, e *AuditEntry, rejected *fault.Error) (activated, error) {
	now := e.At
	out := activated{}
	var err error
	if out.account, err = tx.Account(d.Account); err != nil {
		return out, err
	}
	if _, err := acceptModel(f.opts.Models, f.opts.AllowOtherModels(), a.Model, a.Firmware); err != nil {
		return out, err
	}
	if d.Code.Used.IsZero() {
		d.Code.Used = now
	}
	if d.Serial != "" {
		return f.reactivate(tx, out, d, a, now)
	}
	known, err := tx.DeviceBySerial(a.Serial)
	switch {
	case err == nil && known.Account != d.Account:
		return out, fault.New(fault.DeviceClaimed, "This PBX (%s) belongs to another account. Have it removed there first.", a.Serial)
	case err == nil:
		return f.mergeRecord(tx, out, d, known, a, *e)
	case !noRow(err):
		return out, err
	}
	d.Serial, d.Activated, d.Presence = a.Serial, now, Presence{Status: StatusNever}
	d = d.as(a, now)
	place, err := f.place(tx, &d, out.account, now)
	if err != nil {
		return out, err
	}
	if err := tx.UpdateDevice(d); err != nil {
		return out, err
	}
	if err := tx.SavePresence(d.ID, d.Presence); err != nil {
		return out, err
	}
	out.device, out.detail = d, "by code"
	out.pair, err = place()
	return out, err
}

// mergeRecord is for a PBX that the account has already: it stays the same
// device and gets what was said in the record.
func (f *Fleet) mergeRecord(tx Tx, out activated, record, known Device, a Activation, e AuditEntry) (activated, error) {
	if err := tx.RemoveDevice(record.ID); err != nil {
		return out, err
	}
	known.Name, known.Group, known.Comment, known.Passwordless, known.Code = record.Name, record.Group, record.Comment, record.Passwordless, record.Code
	known.Region, known.Second = record.Region, record.Second
	out, err := f.reactivate(tx, out, known, a, e.At)
	if err != nil {
		return out, err
	}
	out.gone = &record
	vs, err := visitsTo(tx, known, e.At)
	if err != nil {
		return out, err
	}
	out.ended, err = endUnentitled(tx, vs, e)
	return out, err
}
