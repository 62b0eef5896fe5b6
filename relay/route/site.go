package route

import (
	"slices"

	"trunkline/internal/bus"
	"trunkline/internal/id"
)

// A site has one device, or the two of a hot-standby pair. Who serves is read
// off what the two say, as control does it: the newest claim to be active. If
// that one is down the site is down, until the other one claims: nobody is
// shown a standby's portal without a word.

// join has a device's word count for its site.
func (t *Table) join(w *word) {
	s, d := w.siteID(), w.deviceID()
	serves, ok := t.sites.Load(s)
	members := t.pairs[s]
	switch {
	case members == nil && (!ok || serves.deviceID() == d):
		t.sites.Store(s, w)
		return
	case members == nil:
		t.pairs[s] = []id.Device{serves.deviceID(), d}
	case !slices.Contains(members, d):
		t.pairs[s] = append(members, d)
	}
	t.choose(s, t.pairs[s])
}

// leave takes a device, whose word is gone or of another site, out of a site.
func (t *Table) leave(s id.Site, d id.Device) {
	members := t.pairs[s]
	if members == nil {
		t.sites.Delete(s)
		return
	}
	members = slices.DeleteFunc(members, func(x id.Device) bool { return x == d })
	if t.pairs[s] = members; len(members) == 1 {
		delete(t.pairs, s)
	}
	t.choose(s, members)
}

func (t *Table) choose(s id.Site, members []id.Device) {
	var best *word
	for _, d := range members {
		if w, ok := t.devices.Load(d); ok && (best == nil || outranks(w.route(), best.route())) {
			best = w
		}
	}
	old, ok := t.sites.Load(s)
	t.sites.Store(best.siteID(), best)
	if ok && old.deviceID() != best.deviceID() {
		t.swapped(s, best.deviceID())
	}
}

// outranks: who says nothing of a pair before who does, because the site is its
// own until it names the other one back; who claims to be active before who does not, the newer claim
// before the older; then who is up, then the primary, then the device that
// connected last.
func outranks(a, b bus.Route) bool {
	if x, y := a.Standby == nil, b.Standby == nil; x != y {
		return x
	}
	if x, y := claims(a), claims(b); x != y {
		return x
	} else if x && a.Standby.Claim != b.Standby.Claim {
		return a.Standby.Claim > b.Standby.Claim
	}
	if x, y := a.Down == "", b.Down == ""; x != y {
		return x
	}
	if x, y := primary(a), primary(b); x != y {
		return x
	}
	return a.Since.After(b.Since)
}

func claims(r bus.Route) bool { return r.Standby != nil && r.Standby.Role == "active" }

func primary(r bus.Route) bool { return r.Standby != nil && r.Standby.Type == "primary" }
