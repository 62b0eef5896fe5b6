package fleet

import (
	"time"

	"trunkline/control/fleet/standby"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// nameBack is the time that a peer has to name the device that joined its
// site. Then the two part.
const nameBack = 10 * time.Minute

// What happens to a pair, in the timelines of both.
const (
	EventPaired       = "paired"
	EventSplit        = "split"
	EventRolesSwapped = "roles_swapped"
)

// pairTx keeps pairs.
type pairTx interface {
	// SiteDevices are a site's one or two.
	SiteDevices(s id.Site) ([]Device, error)
	// StandbyDevices are those that say they belong to a pair.
	StandbyDevices() ([]id.Device, error)
	// UnnamedSince are devices that joined before t and are not named back.
	UnnamedSince(t time.Time, limit int) ([]Device, error)
	// WaitingAccounts are those with sites that have no connection, whose oldest
	// waits longest first.
	WaitingAccounts() ([]id.Account, error)
	// UnlicensedSites of an account have no connection, the oldest first.
	UnlicensedSites(account id.Account, limit int) ([]Site, error)
	RemoveSite(s id.Site) error
}

// moved is a device that belongs to another site now: its passes are void, and
// its agent comes back with one for the right site.
type moved struct {
	device id.Device
	r      bus.Revocation
}

// settled is what settlePair changed beside the device itself.
type settled struct {
	device  Device // as it is now
	moves   []moved
	changed []id.Device // to be shown anew
}

func memberOf(d Device) standby.Member {
	h := d.HotStandby
	return standby.Member{Device: d.ID, Serial: d.Serial, Facts: standby.Facts{Enabled: h.Enabled, Type: h.Type, Role: h.Role, Peer: h.Peer, Claim: h.Claim}}
}

// settlePair puts d where its facts, which have been written, want it: into its
// peer's site, out of it, or where it is. fresh is true if d named its peer
// just now: only then may it join one that does not name it yet.
func (f *Fleet) settlePair(tx Tx, d Device, fresh bool, now time.Time) (settled, error) {
	out := settled{device: d}
	mates, err := tx.SiteDevices(d.Site)
	if err != nil {
		return out, err
	}
	if len(mates) == 2 {
		mate := mates[0]
		if mate.ID == d.ID {
			mate = mates[1]
		}
		return out, f.keep(tx, &out, mate, now)
	}
	peer, bond, err := f.peerOf(tx, d)
	if err != nil || bond == standby.None || bond == standby.Half && !fresh {
		return out, err
	}
	return out, f.join(tx, &out, peer, bond, now)
}

// peerOf finds the device that d could be a pair with: of its account, alone
// on its site, and bound to it by what the two say.
func (f *Fleet) peerOf(tx Tx, d Device) (Device, standby.Bond, error) {
	h := d.HotStandby
	if !h.Enabled || h.Peer == d.Serial {
		return Device{}, standby.None, nil
	}
	peer, err := tx.DeviceBySerial(h.Peer)
	if noRow(err) || err == nil && (peer.Account != d.Account || peer.Site == "") {
		return Device{}, standby.None, nil
	}
	if err != nil {
		return Device{}, standby.None, err
	}
	bond := standby.BondOf(memberOf(d), memberOf(peer))
	if bond == standby.None {
		return Device{}, bond, nil
	}
	mates, err := tx.SiteDevices(peer.Site)
	if err == nil && (len(mates) != 1 || peer.Site == d.Site) {
		bond = standby.None
	}
	return peer, bond, err
}

// join makes out.device and peer a pair, on the site that has a connection.
func (f *Fleet) join(tx Tx, out *settled, peer Device, bond standby.Bond, now time.Time) error {
	stays, goes := peer, out.device
	there, err := tx.Site(stays.Site)
	if err != nil {
		return err
	}
	if here, err := tx.Site(goes.Site); err != nil {
		return err
	} else if here.Licensed && !there.Licensed {
		stays, goes, there = goes, stays, here
	}
	left := goes.Site
	goes.Joined = time.Time{}
	if bond == standby.Half {
		goes.Joined = now
	}
	if err := f.move(tx, out, &goes, there.ID, now); err != nil {
		return err
	}
	if err := tx.RemoveSite(left); err != nil {
		return err
	}
	if stays.ID == out.device.ID {
		out.device = stays
	}
	if err := noteBoth(tx, now, EventPaired, stays, goes); err != nil {
		return err
	}
	out.changed = append(out.changed, stays.ID, goes.ID)
	return elect(tx, out, there, stays, goes, now)
}

// move gives a device another site and voids the passes that name the old one.
func (f *Fleet) move(tx Tx, out *settled, d *Device, to id.Site, now time.Time) error {
	d.Site = to
	if !d.Issued.IsZero() {
		d.Void = voidAt(now, d.Issued)
		d.Issued = nextIssued(now, d.Void)
		m := moved{device: d.ID, r: revocationOf(fault.SiteMoved, d.Void)}
		if err := tx.PutRevocation(deviceKey(d.ID), m.r); err != nil {
			return err
		}
		out.moves = append(out.moves, m)
	}
	if d.ID == out.device.ID {
		out.device = *d
	}
	return tx.UpdateDevice(*d)
}

// keep decides whether two devices on one site still belong together.
func (f *Fleet) keep(tx Tx, out *settled, mate Device, now time.Time) error {
	d := out.device
	site, err := tx.Site(d.Site)
	if err != nil {
		return err
	}
	switch bond := standby.BondOf(memberOf(d), memberOf(mate)); {
	case bond == standby.None, bond == standby.Half && (d.late(now) || mate.late(now) || d.Joined.IsZero() && mate.Joined.IsZero()):
		return f.split(tx, out, site, mate, now)
	case bond == standby.Full && (!d.Joined.IsZero() || !mate.Joined.IsZero()):
		d.Joined, mate.Joined = time.Time{}, time.Time{}
		out.device = d
		if err := tx.UpdateDevice(d); err != nil {
			return err
		}
		if err := tx.UpdateDevice(mate); err != nil {
			return err
		}
	}
	return elect(tx, out, site, d, mate, now)
}

// late: it joined, and was not named back in time.
func (d Device) late(now time.Time) bool {
	return !d.Joined.IsZero() && !d.Joined.After(now.Add(-nameBack))
}

// split parts two devices. The site, with its origin and its connection, stays
// with the one that was there first if the other never was named back, else
// with the one that served; the other one gets a site of its own, and a
// connection if there is one left.
func (f *Fleet) split(tx Tx, out *settled, site Site, mate Device, now time.Time) error {
	stays, goes := out.device, mate
	if !stays.Joined.IsZero() || mate.Joined.IsZero() && site.Active == mate.ID {
		stays, goes = mate, out.device
	}
	account, err := tx.Account(goes.Account)
	if err != nil {
		return err
	}
	licensed := true
	if err := f.mayConnect(tx, account, now); fault.CodeOf(err) == fault.NoConnections || fault.CodeOf(err) == fault.LicenceExpired {
		licensed = false
	} else if err != nil {
		return err
	}
	own, err := newSite(tx, goes.Account, now, licensed)
	if err != nil {
		return err
	}
	goes.Joined, stays.Joined = time.Time{}, time.Time{}
	if err := f.move(tx, out, &goes, own, now); err != nil {
		return err
	}
	if err := tx.UpdateDevice(stays); err != nil {
		return err
	}
	if stays.ID == out.device.ID {
		out.device = stays
	}
	out.changed = append(out.changed, stays.ID, goes.ID)
	site.Active, site.Claim, site.Alarm = "", 0, ""
	site.Epoch++
	if err := tx.UpdateSite(site); err != nil {
		return err
	}
	return noteBoth(tx, now, EventSplit, stays, goes)
}

// elect writes down who serves the site, if that is news.
func elect(tx Tx, out *settled, site Site, a, b Device, now time.Time) error {
	was := standby.State{Active: site.Active, Epoch: site.Epoch, Claim: site.Claim, Alarm: site.Alarm}
	s := standby.Elect(was, memberOf(a), memberOf(b))
	if s == was {
		return nil
	}
	site.Active, site.Epoch, site.Claim, site.Alarm = s.Active, s.Epoch, s.Claim, s.Alarm
	if err := tx.UpdateSite(site); err != nil {
		return err
	}
	out.changed = append(out.changed, a.ID, b.ID)
	if was.Active == "" || was.Active == s.Active {
		return nil
	}
	return noteBoth(tx, now, EventRolesSwapped, a, b)
}

func noteBoth(tx Tx, now time.Time, kind string, a, b Device) error {
	for _, x := range [][2]Device{{a, b}, {b, a}} {
		err := tx.AddDeviceEvent(x[0].ID, StatusChange{At: now, Kind: kind, Detail: "with " + x[1].Name + " (" + string(x[1].Serial) + ")"}, maxEvents)
		if err != nil {
			return err
		}
	}
	return nil
}

// alone is for the site of a pair that one of the two has left for good.
func alone(tx Tx, s id.Site) error {
	left, err := tx.SiteDevices(s)
	if err != nil || len(left) != 1 {
		return err
	}
	site, err := tx.Site(s)
	if err != nil {
		return err
	}
	if site.Active != "" {
		site.Active, site.Claim, site.Alarm = "", 0, ""
		site.Epoch++
		if err := tx.UpdateSite(site); err != nil {
			return err
		}
	}
	d := left[0]
	if d.Joined.IsZero() {
		return nil
	}
	d.Joined = time.Time{}
	return tx.UpdateDevice(d)
}
