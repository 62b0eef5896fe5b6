package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	maxPending = 1000 // devices of one account that wait for their PBX
	maxComment = 500  // characters
)

// AddDevice makes a record for a PBX, and the code that binds the PBX to it
// when it is typed there. The record takes no connection yet.
func (f *Fleet) AddDevice(ctx context.Context, p Principal, n NewDevice) (Device, Code, error) {
	if err := p.check(); err != nil {
		return Device{}, Code{}, err
	}
	now := f.clock()
	d := Device{ID: id.NewDevice(), Account: p.Account, Created: now, Passwordless: n.Passwordless, Group: n.Group, Second: n.Second, Presence: Presence{Status: StatusNotActivated}}
	var err error
	if d.Name, err = plainText("name", n.Name); err != nil {
		return Device{}, Code{}, err
	}
	if d.Comment, err = commentText(n.Comment); err != nil {
		return Device{}, Code{}, err
	}
	if d.Region, err = regionName(n.Region); err != nil {
		return Device{}, Code{}, err
	}
	if err := n.Second.check(); err != nil {
		return Device{}, Code{}, err
	}
	life, err := lifeOfCode(n.CodeLife)
	if err != nil {
		return Device{}, Code{}, err
	}
	c := d.newCode(now, life)
	err = f.decide(ctx, p.entry(now, ActionDeviceAdd, "PBX "+d.Name), func(tx Tx, e *AuditEntry) error {
		if err := f.mayManage(tx, p, d.Group); err != nil {
			return err
		}
		pending, err := tx.CountDevices(p.Account, StatusNotActivated, maxPending)
		if err != nil {
			return err
		}
		if pending >= maxPending {
			return fault.New(fault.LimitReached, "%d devices wait for their PBX already. Remove the ones that are not needed.", maxPending)
		}
		e.Detail = "code until " + c.Expires.Format(time.RFC3339)
		return tx.AddDevice(d)
	})
	if err != nil {
		return Device{}, Code{}, err
	}
	f.changed(d.ID)
	return d, c, nil
}

// newCode gives d another code; the one before is void.
func (d *Device) newCode(now time.Time, life time.Duration) Code {
	secret, hash := newCode()
	d.Code = CodeState{Hash: hash, Expires: now.Add(life)}
	return Code{Secret: secret, Expires: d.Code.Expires}
}

func lifeOfCode(d time.Duration) (time.Duration, error) {
	switch {
	case d == 0:
		return codeLife, nil
	case d < minCodeLife || d > maxCodeLife:
		return 0, fault.New(fault.Invalid, "A code is good for 1 hour to 30 days.").In("code_life")
	}
	return d, nil
}

func commentText(s string) (string, error) {
	if utf8.RuneCountInString(s) > maxComment || !printable(s) {
		return "", fault.New(fault.Invalid, "A comment has at most %d printable characters.", maxComment).In("comment")
	}
	return s, nil
}

// mayManage: the group is the account's own ("" is none), and p may manage
// the devices in it.
func (f *Fleet) mayManage(tx Tx, p Principal, g id.Group) error {
	if g != "" {
		group, err := tx.Group(g)
		if noRow(err) || err == nil && group.Account != p.Account {
			return fault.New(fault.NotFound, "There is no such group in your account.").In("group")
		}
		if err != nil {
			return err
		}
	}
	if !p.Access.On(g).Has(ManageDevices) {
		return fault.New(fault.Forbidden, "Your role may not manage these PBXs. Ask an owner or an admin.")
	}
	return nil
}

// ReissueCode gives a device another code. An activated one takes it for its
// own PBX only, whose agent may have been installed anew.
func (f *Fleet) ReissueCode(ctx context.Context, p Principal, device id.Device, life time.Duration) (Device, Code, error) {
	life, err := lifeOfCode(life)
	if err != nil {
		return Device{}, Code{}, err
	}
	var c Code
	d, err := f.changeDevice(ctx, p, device, ActionCodeIssue, func(tx Tx, d *Device, e *AuditEntry) error {
		c = d.newCode(e.At, life)
		e.Detail = "until " + c.Expires.Format(time.RFC3339)
		return nil
	})
	if err != nil {
		return Device{}, Code{}, err
	}
	return d, c, nil
}

// RevokeCode voids the device's code.
func (f *Fleet) RevokeCode(ctx context.Context, p Principal, device id.Device) (Device, error) {
	return f.changeDevice(ctx, p, device, ActionCodeRevoke, func(_ Tx, d *Device, _ *AuditEntry) error {
		d.Code = CodeState{}
		return nil
	})
}

// EditDevice changes what the provider says of a device.
func (f *Fleet) EditDevice(ctx context.Context, p Principal, device id.Device, x DeviceEdit) (Device, error) {
	var name, comment, region string
	var err error
	if x.Name != nil {
		if name, err = plainText("name", *x.Name); err != nil {
			return Device{}, err
		}
	}
	if x.Comment != nil {
		if comment, err = commentText(*x.Comment); err != nil {
			return Device{}, err
		}
	}
	if x.Region != nil {
		if region, err = regionName(*x.Region); err != nil {
			return Device{}, err
		}
	}
	if x.Second != nil {
		if err := x.Second.check(); err != nil {
			return Device{}, err
		}
	}
	var was Device
	d, err := f.changeDevice(ctx, p, device, ActionDeviceEdit, func(tx Tx, d *Device, e *AuditEntry) error {
		was = *d
		if err := matches(x.Match, d.Tag()); err != nil {
			return err
		}
		var changed []string
		if x.Group != nil && *x.Group != d.Group {
			if err := f.mayManage(tx, p, *x.Group); err != nil {
				return err
			}
			if err := p.mayMove(d.Group, *x.Group); err != nil {
				return err
			}
			d.Group = *x.Group
			changed = append(changed, "group")
		}
		if x.Name != nil && name != d.Name {
			changed = append(changed, "name was "+d.Name)
			d.Name = name
		}
		if x.Comment != nil && comment != d.Comment {
			d.Comment = comment
			changed = append(changed, "comment")
		}
		if x.Passwordless != nil && *x.Passwordless != d.Passwordless {
			d.Passwordless = *x.Passwordless
			changed = append(changed, map[bool]string{true: "passwordless allowed", false: "passwordless forbidden"}[d.Passwordless])
		}
		if x.Region != nil && region != d.Region {
			changed = append(changed, fmt.Sprintf("region was %q", d.Region))
			d.Region = region
		}
		if x.Second != nil && *x.Second != d.Second {
			changed = append(changed, fmt.Sprintf("second tunnel was %q", d.Second))
			d.Second = *x.Second
		}
		e.Detail = strings.Join(changed, "; ")
		return nil
	})
	if err == nil && (d.Region != was.Region || d.Second != was.Second) {
		f.opts.Wished(bus.WishNotice{Account: d.Account, Device: d.ID})
	}
	return d, err
}

// changeDevice lets change edit a device of p's own account that p may manage.
func (f *Fleet) changeDevice(ctx context.Context, p Principal, device id.Device, action string, change func(Tx, *Device, *AuditEntry) error) (Device, error) {
	if err := p.check(); err != nil {
		return Device{}, err
	}
	var d Device
	var moved bool
	var ended revocations
	err := f.decide(ctx, p.entry(f.clock(), action, "PBX "+string(device)), func(tx Tx, e *AuditEntry) (err error) {
		ended = nil
		if d, err = ownedBy(p, tx, func(tx Tx) (Device, error) { return tx.Device(device) }); err != nil {
			return err
		}
		e.Object = describe(d)
		if err := f.mayManage(tx, p, d.Group); err != nil {
			return err
		}
		was := d
		if err := change(tx, &d, e); err != nil {
			return err
		}
		if err := tx.UpdateDevice(d); err != nil {
			return err
		}
		if moved = d.Group != was.Group; !moved && (d.Passwordless || !was.Passwordless) {
			return nil
		}
		vs, err := visitsTo(tx, d, e.At)
		if err != nil {
			return err
		}
		ended, err = endUnentitled(tx, vs, *e)
		return err
	})
	if err != nil {
		return Device{}, err
	}
	if moved {
		f.regrouped(ctx, p.Account, ended)
	} else {
		f.settle(ctx, ended)
	}
	f.changed(d.ID)
	f.presence.overlay(&d)
	return d, nil
}
