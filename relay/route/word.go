package route

import (
	"time"
	"unique"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// word is what one relay said last of one device, in as little memory as there
// are to be a million of them: what differs from device to device is one text,
// what many have in common is there once. Readers use what never changes; seen
// and next are the table's, under its lock.
type word struct {
	text                 string // the device, then these, each up to where the next begins
	tunnel, site, remote uint16
	nano                 uint32 // of since
	since                int64  // seconds since 1970
	account              unique.Handle[id.Account]
	kind                 unique.Handle[kind]
	more                 *more // nil: nothing of it
	said                 revision
	born                 revision // the first that told of the tunnel

	seen uint32 // the last snapshot of the bus that had it
	next *word  // of another relay on the same device; nearly always nil
}

// kind is what the routes of many devices have in common. Accounts are not part
// of it: with each at each relay there would be as many kinds as devices.
type kind struct {
	relay         id.Relay
	down, fault   fault.Code
	origin, agent string
	logins        tunnel.Logins
	second        bool
}

// more is what few routes have.
type more struct {
	aliases []string
	standby *tunnel.Standby
}

// revision is a number of one life of the bucket.
type revision struct {
	epoch unique.Handle[string]
	rev   uint64 // 0: own, not yet on the bus
}

// follows reports whether the bus heard r after o.
func (r revision) follows(o revision) bool { return o.rev != 0 && r.epoch == o.epoch && r.rev > o.rev }

func newWord(r bus.Route, said revision) *word {
	w := &word{
		text:   string(r.Device) + string(r.Tunnel) + string(r.Site) + r.Remote,
		tunnel: uint16(len(r.Device)), since: r.Since.Unix(), nano: uint32(r.Since.Nanosecond()),
		account: unique.Make(r.Account), said: said, born: said,
		kind: unique.Make(kind{
			relay: r.Relay, down: r.Down, fault: r.Fault, origin: r.Portal.Origin, agent: r.Agent, logins: r.Logins, second: r.Second,
		}),
	}
	w.site = w.tunnel + uint16(len(r.Tunnel))
	w.remote = w.site + uint16(len(r.Site))
	if r.Standby != nil || len(r.Portal.Aliases) > 0 {
		w.more = &more{r.Portal.Aliases, r.Standby}
	}
	return w
}

// route is the word as the bus has it. It allocates nothing.
func (w *word) route() bus.Route {
	k := w.kind.Value()
	r := bus.Route{
		Relay: k.relay, Device: w.deviceID(), Site: w.siteID(), Account: w.account.Value(), Tunnel: id.Tunnel(w.text[w.tunnel:w.site]),
		Since: time.Unix(w.since, int64(w.nano)).UTC(), Down: k.down, Fault: k.fault, Portal: tunnel.Portal{Origin: k.origin},
		Logins: k.logins, Agent: k.agent, Remote: w.text[w.remote:], Second: k.second,
	}
	if w.more != nil {
		r.Portal.Aliases, r.Standby = w.more.aliases, w.more.standby
	}
	return r
}

func (w *word) deviceID() id.Device { return id.Device(w.text[:w.tunnel]) }
func (w *word) siteID() id.Site     { return id.Site(w.text[w.site:w.remote]) }

// follows reports whether w says more of the tunnel that was is up with.
func (w *word) follows(was *word) bool {
	return was.born.rev != 0 && was.kind.Value().down == "" && was.text[was.tunnel:was.site] == w.text[w.tunnel:w.site] &&
		was.kind.Value().second == w.kind.Value().second
}

// rises reports whether w says that the tunnel is up of which was said that it
// ended: it was long under way.
func (w *word) rises(was *word) bool {
	return was.kind.Value().down != "" && w.kind.Value().down == "" && was.text[was.tunnel:was.site] == w.text[w.tunnel:w.site]
}
