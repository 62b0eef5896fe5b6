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

// join and leave keep a site's members and choose anew who serves.
func (t *Table) join(s id.Site, d id.Device) {
	if !slices.Contains(t.members[s], d) {
		t.members[s] = append(t.members[s], d)
	}
	t.choose(s)
}

func (t *Table) leave(s id.Site, d id.Device) {
	left := slices.DeleteFunc(t.members[s], func(x id.Device) bool { return x == d })
	if len(left) == 0 {
		delete(t.members, s)
		t.sites.Delete(s)
		return
	}
	t.members[s] = left
	t.choose(s)
}

func (t *Table) choose(s id.Site) {
	members := t.members[s]
	serves := members[0]
	for _, d := range members[1:] {
		a, _ := t.Device(d)
		b, _ := t.Device(serves)
		if outranks(a, b) {
			serves = d
		}
	}
	old, ok := t.sites.Load(s)
	if ok && old.(id.Device) == serves {
		return
	}
	t.sites.Store(s, serves)
	if ok {
		t.swapped(s, serves)
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
