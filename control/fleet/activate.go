package fleet

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"go.uber.org/zap"

	"trunkline/control/fleet/standby"
	"trunkline/control/license"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// Activate makes a PBX a device of the account whose user vouches for it, and
// gives it a pass. The same request again gives the same device and a fresh
// pass, so that a lost reply does no harm; from a PBX whose agent was
// installed anew it replaces the device's key.
//
// A PBX that names another one of the account as its hot-standby peer joins
// that one's site, and takes no connection.
func (f *Fleet) Activate(ctx context.Context, a Activation) (Grant, error) {
	if err := a.normalise(); err != nil {
		return Grant{}, err
	}
	now := f.clock()
	e := AuditEntry{At: now, Remote: remoteText(a.Remote), Action: ActionActivate, Object: "PBX " + string(a.Serial)}
	take, err := f.vouched(ctx, &e, a)
	if err != nil {
		return Grant{}, err
	}
	if !controlapi.VerifyActivationProof(a.Key, a.Serial, a.Proof) {
		return Grant{}, f.refuse(ctx, e, fault.New(fault.ProofInvalid, "The request is not signed by the key it brings.").In("proof"))
	}
	key, err := f.signer(ctx, now)
	if err != nil {
		return Grant{}, err
	}
	var done activated
	var l license.License
	err = f.decide(ctx, e, func(tx Tx, e *AuditEntry) error {
		var err error
		if done, err = take(tx, e); err != nil {
			return err
		}
		if l, err = f.license(tx, now); err != nil {
			return err
		}
		e.Detail = done.detail
		return done.note(tx, now)
	})
	if err != nil {
		return Grant{}, err
	}
	if done.void != nil {
		f.revoked(ctx, deviceKey(done.device.ID), *done.void)
	}
	f.tellPair(ctx, done.pair)
	if done.gone != nil {
		f.gone(*done.gone)
		f.regrouped(ctx, done.account.ID, done.ended)
	}
	f.changed(done.device.ID)
	f.log.Info("device activated", zap.String("device", string(done.device.ID)), zap.String("site", string(done.device.Site)),
		zap.String("account", string(done.device.Account)), zap.String("how", done.detail))
	return f.grant(key, done.device, done.account, l, now)
}

// vouched checks who stands for the PBX, and gives what then takes it in.
func (f *Fleet) vouched(ctx context.Context, e *AuditEntry, a Activation) (func(Tx, *AuditEntry) (activated, error), error) {
	if a.Code != "" {
		return f.byCode(ctx, e, a)
	}
	rejected := fault.New(fault.Rejected, "The activation was rejected. Check the e-mail address, the password and what your role may do.")
	u, err := f.credentials(ctx, e, a.Email, a.Password, a.Remote, rejected)
	if err != nil {
		return nil, err
	}
	return func(tx Tx, e *AuditEntry) (activated, error) {
		u, err := sameUser(tx, u, rejected)
		if err != nil {
			return activated{}, err
		}
		if may, err := mayActivate(tx, u, a.Serial); err != nil {
			return activated{}, err
		} else if !may {
			return activated{}, rejected
		}
		return f.activate(tx, a, u.Account, e.At)
	}, nil
}

// mayActivate: who connects PBXs by role must see this one too, or, if the account
// has none of this serial number, those without a group, where it will be.
func mayActivate(tx Tx, u User, sn id.Serial) (bool, error) {
	if !u.Role.mayActivate() {
		return false, nil
	}
	d, err := tx.DeviceBySerial(sn)
	if err != nil && !noRow(err) {
		return false, err
	}
	if d.Account != u.Account {
		d.Group = ""
	}
	a, err := accessOf(tx, u)
	return a.On(d.Group).Has(See), err
}

// activated is what one activation came to.
type activated struct {
	device  Device
	account Account
	detail  string
	void    *bus.Revocation // of the device's earlier key
	gone    *Device         // a record that became part of device
	ended   revocations     // visits that the record does not allow
	pair    settled         // what became of its pair
}

// note puts the activation into the device's timeline, but not a repeated one.
func (a activated) note(tx Tx, now time.Time) error {
	c := StatusChange{At: now, Kind: EventActivated, Detail: a.detail}
	switch {
	case a.void != nil:
		c.Kind = EventKeyReplaced
	case a.detail == detailAgain:
		return nil
	}
	return tx.AddDeviceEvent(a.device.ID, c, maxEvents)
}

const detailAgain = "again"

// activate is the part inside the transaction, which makes it safe to count.
func (f *Fleet) activate(tx Tx, a Activation, account id.Account, now time.Time) (activated, error) {
	out := activated{}
	var err error
	if out.account, err = tx.Account(account); err != nil {
		return out, err
	}
	short, err := acceptModel(f.opts.Models, f.opts.AllowOtherModels(), a.Model, a.Firmware)
	if err != nil {
		return out, err
	}
	d, err := tx.DeviceBySerial(a.Serial)
	switch {
	case err == nil && d.Account != account:
		return out, fault.New(fault.DeviceClaimed, "This PBX (%s) belongs to another account. Have it removed there first.", a.Serial)
	case err == nil:
		return f.reactivate(tx, out, d, a, now)
	case !errors.Is(err, ErrNoRow):
		return out, err
	}
	d = Device{
		ID: id.NewDevice(), Account: account, Serial: a.Serial, Name: defaultName(short, a.Serial),
		Created: now, Activated: now, Presence: Presence{Status: StatusNever},
	}
	d = d.as(a, now)
	place, err := f.place(tx, &d, out.account, now)
	if err != nil {
		return out, err
	}
	if err := tx.AddDevice(d); err != nil {
		return out, err
	}
	out.device, out.detail = d, "new device"
	out.pair, err = place()
	return out, err
}

// place gives a new device its site: a peer's, at no cost, or one of its own
// if there is a connection. What it returns is to be called when the device is
// written.
func (f *Fleet) place(tx Tx, d *Device, account Account, now time.Time) (func() (settled, error), error) {
	peer, bond, err := f.peerOf(tx, *d)
	if err != nil {
		return nil, err
	}
	if bond == standby.None {
		if err := f.mayConnect(tx, account, now); err != nil {
			return nil, err
		}
		d.Site, err = newSite(tx, d.Account, now, true)
		return func() (settled, error) { return settled{}, nil }, err
	}
	d.Site = peer.Site
	if bond == standby.Half {
		d.Joined = now
	}
	return func() (settled, error) {
		out := settled{device: *d, changed: []id.Device{peer.ID}}
		if err := noteBoth(tx, now, EventPaired, *d, peer); err != nil {
			return out, err
		}
		return out, f.keep(tx, &out, peer, now)
	}, nil
}

// reactivate takes no connection, so it asks for no licence.
func (f *Fleet) reactivate(tx Tx, out activated, d Device, a Activation, now time.Time) (activated, error) {
	out.detail = detailAgain
	if !sameKey(d.Key, a.Key) {
		d.Void = voidAt(now, d.Issued)
		r := revocationOf(fault.Replaced, d.Void)
		if err := tx.PutRevocation(deviceKey(d.ID), r); err != nil {
			return out, err
		}
		out.void, out.detail = &r, "key replaced"
	}
	was := d.HotStandby
	if a.HotStandby.Enabled && was.Enabled && a.HotStandby.Claim < was.Claim {
		a.HotStandby = was // late
	}
	d = d.as(a, now)
	if err := tx.UpdateDevice(d); err != nil {
		return out, err
	}
	var err error
	out.pair, err = f.settlePair(tx, d, a.HotStandby.Enabled != was.Enabled || a.HotStandby.Peer != was.Peer, now)
	out.device = out.pair.device
	return out, err
}

// as is d with what the activation says of it.
func (d Device) as(a Activation, now time.Time) Device {
	d.Model, d.Firmware, d.Key, d.HotStandby = a.Model, a.Firmware, a.Key, a.HotStandby
	d.Issued = nextIssued(now, d.Void)
	return d
}

// inForce refuses what needs a licence once its grace time is over, or
// before it begins.
func inForce(l license.License, now time.Time) error {
	switch {
	case l.InForce(now):
		return nil
	case now.Before(l.NotBefore):
		return fault.New(fault.LicenceExpired, "The licence begins on %s.", l.NotBefore.Format(time.DateOnly))
	default:
		return fault.New(fault.LicenceExpired, "The licence expired on %s and its %d days of grace are over. PBXs stay connected; new activations and visits need a new licence.",
			l.Expires.Format(time.DateOnly), int(license.Grace.Hours()/24))
	}
}

// newSite draws labels until one is free. 40 random bits: a second draw is
// rare, a fifth means that something else is wrong.
func newSite(tx Tx, account id.Account, now time.Time, licensed bool) (id.Site, error) {
	var err error
	for range 5 {
		s := id.NewSite()
		if err = tx.AddSite(Site{ID: s, Account: account, Created: now, Licensed: licensed}); !errors.Is(err, ErrTaken) {
			return s, err
		}
	}
	return "", err
}

func defaultName(short string, sn id.Serial) string {
	const room = maxText - 33 // the longest serial number and a space
	if r := []rune(short); len(r) > room {
		short = string(r[:room])
	}
	return short + " " + string(sn)
}

// normalise refuses what cannot be an activation at all.
func (a *Activation) normalise() (err error) {
	if a.Serial == "" {
		return fault.New(fault.Invalid, "The serial number is missing.").In("serial")
	}
	if a.Model, err = plainText("model", a.Model); err != nil {
		return err
	}
	if a.Firmware, err = plainText("firmware", a.Firmware); err != nil {
		return err
	}
	if len(a.Key) != ed25519.PublicKeySize {
		return fault.New(fault.Invalid, "The public key must be Ed25519: %d bytes.", ed25519.PublicKeySize).In("public_key")
	}
	if byCode := a.Code != ""; byCode == (a.Email != "" || a.Password != "") {
		return fault.New(fault.Invalid, "Give an authentication code, or an e-mail address and a password.").In("code")
	}
	h := &a.HotStandby
	if !h.Enabled {
		*h = HotStandby{}
		return nil
	}
	if h.Claim > tunnel.ClaimMax {
		return fault.New(fault.Invalid, "The claim is out of range.").In("hot_standby")
	}
	if h.Type != "primary" && h.Type != "secondary" || h.Role != "active" && h.Role != "standby" || h.Peer == a.Serial {
		return fault.New(fault.Invalid, "Hot standby needs a type (primary, secondary), a role (active, standby) and the other PBX's serial number.").In("hot_standby")
	}
	return nil
}
