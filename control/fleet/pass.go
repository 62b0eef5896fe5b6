package fleet

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"trunkline/control/license"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// A device that gets a new key must lose its old tunnels and passes at once,
// and the pass that is issued a moment later must hold. A relay refuses every
// pass whose Issued is not after the revocation's At, and a pass's times are
// whole seconds. So the void moment is no earlier than the newest pass, and
// every later pass is issued at least a second after it, if need be one ahead
// of the clock (relays allow token.Leeway).

// nextIssued is the time a pass issued at now carries.
func nextIssued(now, void time.Time) time.Time {
	t := now.UTC().Truncate(time.Second)
	if !void.IsZero() && !t.After(void) {
		t = void.Add(time.Second)
	}
	return t
}

// voidAt is the moment that makes void all passes up to the newest, issued.
func voidAt(now, issued time.Time) time.Time {
	t := now.UTC().Truncate(time.Second)
	if issued.After(t) {
		t = issued
	}
	return t
}

// revocationOf voids what a device holds.
func revocationOf(code fault.Code, void time.Time) bus.Revocation {
	return bus.Revocation{Code: code, At: void, Until: void.Add(token.PassLife + token.Leeway)}
}

func deviceKey(d id.Device) string { return "device." + string(d) }
func visitKey(v id.Visit) string   { return "visit." + string(v) }

// grant signs a pass for d, whose Issued is set, under the licence l.
func (f *Fleet) grant(key token.SigningKey, d Device, a Account, l license.License, now time.Time) (Grant, error) {
	wish := d.wish(a.Wish)
	places := f.opts.Relays(d.ID, wish.Region)
	g := Grant{
		Device: d.ID, Site: d.Site, Name: d.Name, Account: a.Name,
		Issued: d.Issued, Expires: d.Issued.Add(token.PassLife), Relays: tunnel.Addrs(places), Region: wish.Region, OverCapacity: d.OverCapacity,
		LicenceExpired: !l.InForce(now),
	}
	if wish.Second {
		g.Second = places
	}
	if !l.Expires.IsZero() && !g.LicenceExpired {
		g.LicenceLeft = l.Expires.Add(license.Grace).Sub(now)
	}
	var err error
	g.Pass, err = token.SignPass(key, token.Pass{
		ID: id.Ref() + id.Ref(), Device: d.ID, Site: d.Site, Account: d.Account, Serial: d.Serial, Key: d.Key,
		Issued: g.Issued, Expires: g.Expires,
	})
	return g, err
}

// RenewPass issues a new pass to who holds the device's key. It asks for no
// licence: tunnels stay up when one has expired. A replayed request gets a
// pass that is of no use without the key.
func (f *Fleet) RenewPass(ctx context.Context, r Renewal) (Grant, error) {
	if len(r.Nonce) < 8 || len(r.Nonce) > 64 {
		return Grant{}, fault.New(fault.Invalid, "The nonce must have 16 bytes.").In("nonce")
	}
	now := f.clock()
	e := AuditEntry{At: now, Actor: "device " + string(r.Device), Remote: remoteText(r.Remote), Action: ActionRenewPass}
	key, err := f.signer(ctx, now)
	if err != nil {
		return Grant{}, err
	}
	if err := f.checkRenewal(ctx, r, e); err != nil {
		return Grant{}, err
	}
	var d Device
	var account Account
	var l license.License
	err = f.decide(ctx, e, func(tx Tx, e *AuditEntry) error {
		if d, err = renewable(tx, r, e); err != nil {
			return err
		}
		if account, err = tx.Account(d.Account); err != nil {
			return err
		}
		if l, err = f.license(tx, now); err != nil {
			return err
		}
		d.Issued = nextIssued(now, d.Void)
		return tx.UpdateDevice(d)
	})
	if err != nil {
		return Grant{}, err
	}
	return f.grant(key, d, account, l, now)
}

// checkRenewal refuses strangers without taking the one writer's time, and
// keeps them from filling the audit.
func (f *Fleet) checkRenewal(ctx context.Context, r Renewal, e AuditEntry) error {
	err := f.read(ctx, "check renewal", func(tx Tx) error {
		_, err := renewable(tx, r, &e)
		return err
	})
	var refusal *fault.Error
	if err == nil {
		return nil
	}
	if !errors.As(err, &refusal) {
		return f.failed("renew pass", err)
	}
	return f.refuseStranger(ctx, e, r.Remote, refusal)
}

// refuseStranger is refuse for what anybody on the net can ask. They do not
// get to fill the audit. An err that is no refusal is given back.
func (f *Fleet) refuseStranger(ctx context.Context, e AuditEntry, remote netip.Addr, err error) error {
	var refusal *fault.Error
	if !errors.As(err, &refusal) {
		return err
	}
	if wait, first := f.strangers.take(e.At, addressKey(remote)); wait > 0 && !first {
		f.metrics.decided(e.Action, refusal)
		return refusal
	}
	return f.refuse(ctx, e, refusal)
}

// renewable gives the device if the proof is by its key.
func renewable(tx Tx, r Renewal, e *AuditEntry) (Device, error) {
	d, err := tx.Device(r.Device)
	if errors.Is(err, ErrNoRow) {
		return Device{}, fault.New(fault.DeviceRemoved, "This PBX is not activated any more. Connect it again with an e-mail address and a password.")
	}
	if err != nil {
		return Device{}, err
	}
	e.Account, e.Actor, e.Object = d.Account, "device "+string(d.Serial), describe(d)
	if !controlapi.VerifyRenewalProof(d.Key, r.Device, r.Nonce, r.Proof) {
		return Device{}, fault.New(fault.ProofInvalid, "The request is not signed by the key that this PBX was last activated with. If the agent was installed anew, connect it again.")
	}
	return d, nil
}

// revoked tells the relays of a committed revocation. It outlives its caller:
// the decision has been made. If they could not be told, all is published
// again soon.
func (f *Fleet) revoked(ctx context.Context, key string, r bus.Revocation) (told bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), busTimeout)
	defer cancel()
	if err := f.opts.Revoke(ctx, key, r); err != nil {
		f.log.Warn("revocation not published yet, trying on", zap.String("key", key), zap.Error(err))
		f.republishSoon()
		return false
	}
	return true
}

func sameKey(a, b []byte) bool { return bytes.Equal(a, b) }
