// Package route answers, for a site or a device: which device is active, and
// which relay holds its tunnel. The whole map is in memory, fed by a watch of
// the bus, and read without a lock: a look-up costs the same with one device
// and with a million, and goes on when the bus is away.
//
// It also announces this relay's own routes. It does not dial.
package route

import (
	"slices"
	"sync"
	"time"
	"unique"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// forgetAfter is how long routes of a bucket that came back without them are
// still believed: their relays are about to announce them again.
const forgetAfter = 30 * time.Second

// Table is the map. Reads are lock-free; writes come from one watcher and
// from this relay's own tunnels.
type Table struct {
	self id.Relay
	// replaced is told of a device that has a newer tunnel at another relay.
	replaced func(id.Device, bus.Route)
	// swapped is told of a site that another of its two devices serves from now
	// on. It must neither block nor write to the table.
	swapped func(id.Site, id.Device)

	best  sync.Map // id.Device -> *bus.Route, which is not changed: the one that counts
	sites sync.Map // id.Site -> id.Device: the one that serves

	mu      sync.Mutex
	entries map[id.Device][]entry   // one per relay; nearly always a single one
	members map[id.Site][]id.Device // of a site, with a route; nearly always one
	epoch   string
	fresh   map[string]bool // keys seen since the last Reset; nil once synced
	lacking []id.Device     // own ones that the last snapshot lacked
}

type entry struct {
	route *bus.Route
	epoch string // of rev
	rev   uint64 // 0: own, not yet on the bus
	born  birth
}

// birth is the revision that first told of a tunnel, as far as is known here: a
// word that its relay repeats or changes later makes it no newer. So it is told
// from a tunnel that followed it, however late the words of a relay arrive that
// was cut off.
type birth struct {
	epoch string
	rev   uint64 // 0: not yet on the bus
}

func NewTable(self id.Relay, replaced func(id.Device, bus.Route), swapped func(id.Site, id.Device)) *Table {
	return &Table{
		self: self, replaced: replaced, swapped: swapped, entries: make(map[id.Device][]entry),
		members: make(map[id.Site][]id.Device),
	}
}

// Device is the route of a device.
func (t *Table) Device(d id.Device) (bus.Route, bool) {
	v, ok := t.best.Load(d)
	if !ok {
		return bus.Route{}, false
	}
	return *v.(*bus.Route), true
}

// Site is the route of a site's active device.
func (t *Table) Site(s id.Site) (bus.Route, bool) {
	d, ok := t.sites.Load(s)
	if !ok {
		return bus.Route{}, false
	}
	return t.Device(d.(id.Device))
}

// Second is the route of a device's second tunnel, if it has one that is up.
func (t *Table) Second(d id.Device) (bus.Route, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries[d] {
		if e.route.Second && e.route.Down == "" {
			return *e.route, true
		}
	}
	return bus.Route{}, false
}

// Len is of how many devices a relay has said something lately.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}

// Apply takes one event of the routes bucket, in order.
func (t *Table) Apply(e bus.Event[bus.Route]) {
	switch e.Kind {
	case bus.Reset:
		t.mu.Lock()
		t.epoch, t.fresh = e.Epoch, make(map[string]bool)
		t.mu.Unlock()
	case bus.Put:
		t.put(e)
	case bus.Delete:
		t.drop(e.Key, func(have entry) bool { return have.epoch == e.Epoch && have.rev <= e.Rev })
	case bus.Synced:
		t.synced()
	}
}

func (t *Table) put(e bus.Event[bus.Route]) {
	r := e.Value
	if e.Key != bus.RouteKey(r.Relay, r.Device) {
		return // a relay can only speak for itself: the bus checks the key, we check the value
	}
	t.mu.Lock()
	own := r.Relay == t.self
	if own && !t.ownIs(r) {
		t.mu.Unlock() // an echo of what has changed since
		return
	}
	if t.fresh != nil {
		t.fresh[e.Key] = true
	}
	t.set(entry{route: shared(r), epoch: e.Epoch, rev: e.Rev})
	lost := !own && r.Down == "" && t.isNewest(r)
	t.mu.Unlock()
	if lost {
		t.replaced(r.Device, r)
	}
}

// SetOwn records a route of this relay before the bus knows it, so that a
// tunnel serves at once, and while the bus is away.
func (t *Table) SetOwn(r bus.Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(entry{route: shared(r), epoch: t.epoch})
}

// DropOwn forgets this relay's route of d.
func (t *Table) DropOwn(d id.Device) {
	t.drop(bus.RouteKey(t.self, d), func(entry) bool { return true })
}

// Lacking lists this relay's devices that the last snapshot of the bus lacked.
func (t *Table) Lacking() []id.Device {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lacking
}

// Own lists the routes that the bus has under this relay's name.
func (t *Table) Own() []bus.Route {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []bus.Route
	for _, list := range t.entries {
		for _, e := range list {
			if e.route.Relay == t.self {
				out = append(out, *e.route)
			}
		}
	}
	return out
}

// ownIs reports whether r is this relay's present word on its device: a late
// echo of an older one must not undo it.
func (t *Table) ownIs(r bus.Route) bool {
	for _, e := range t.entries[r.Device] {
		if e.route.Relay == t.self {
			return sameWord(*e.route, r)
		}
	}
	return true // left by an earlier life of this relay
}

func sameWord(a, b bus.Route) bool {
	return a.Tunnel == b.Tunnel && a.Second == b.Second && a.Down == b.Down && a.Logins == b.Logins && sameStandby(a.Standby, b.Standby) &&
		a.Portal.Origin == b.Portal.Origin && slices.Equal(a.Portal.Aliases, b.Portal.Aliases)
}

func sameStandby(a, b *tunnel.Standby) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// shared is a route that has the strings which many have in common only once.
func shared(r bus.Route) *bus.Route {
	r.Relay, r.Account = unique.Make(r.Relay).Value(), unique.Make(r.Account).Value()
	r.Agent, r.Portal.Origin = unique.Make(r.Agent).Value(), unique.Make(r.Portal.Origin).Value()
	return &r
}

func (t *Table) isNewest(r bus.Route) bool {
	for _, e := range t.entries[r.Device] {
		if e.route.Relay == t.self && e.route.Down == "" && e.route.Second == r.Second {
			best, ok := t.Device(r.Device)
			return ok && best.Relay == r.Relay
		}
	}
	return false
}

func (t *Table) set(n entry) {
	list := t.entries[n.route.Device]
	n.born = birth{n.epoch, n.rev}
	for i := range list {
		if list[i].route.Relay == n.route.Relay {
			was := list[i]
			if was.born.rev != 0 && was.route.Down == "" && was.route.Tunnel == n.route.Tunnel && was.route.Second == n.route.Second {
				n.born = was.born
			}
			list[i] = n
			t.publish(n.route.Device)
			return
		}
	}
	t.entries[n.route.Device] = append(list, n)
	t.publish(n.route.Device)
}

func (t *Table) drop(key string, when func(entry) bool) {
	relay, device, ok := bus.SplitRouteKey(key)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.entries[device]
	for i := range list {
		if list[i].route.Relay == relay && when(list[i]) {
			t.entries[device] = append(list[:i:i], list[i+1:]...)
			t.publish(device)
			return
		}
	}
}

// publish makes the device's best entry visible to readers.
func (t *Table) publish(d id.Device) {
	list := t.entries[d]
	if len(list) == 0 {
		delete(t.entries, d)
		if old, ok := t.best.LoadAndDelete(d); ok {
			t.leave(old.(*bus.Route).Site, d)
		}
		return
	}
	best := list[0]
	for _, e := range list[1:] {
		if t.better(e, best) {
			best = e
		}
	}
	old, had := t.best.Swap(d, best.route)
	if had && old.(*bus.Route).Site != best.route.Site {
		t.leave(old.(*bus.Route).Site, d) // it joined a pair, or left one
	}
	t.join(best.route.Site, d)
}

// better: a tunnel that is up beats one that is down; then a first one beats a
// second; then the newer bucket, then the later birth. A tunnel of our own that
// the bus has not yet numbered is the newest there is.
func (t *Table) better(a, b entry) bool {
	if up := a.route.Down == ""; up != (b.route.Down == "") {
		return up
	}
	if a.route.Second != b.route.Second {
		return b.route.Second
	}
	if a.born.rev == 0 || b.born.rev == 0 {
		return a.born.rev == 0
	}
	if a.born.epoch != b.born.epoch {
		return a.born.epoch == t.epoch
	}
	return a.born.rev > b.born.rev
}

// synced forgets what the bucket no longer has: at once if it is the bucket
// that had it, after a while if it came back empty. Own routes are not in
// doubt: the tunnels are here.
func (t *Table) synced() {
	t.mu.Lock()
	fresh, epoch := t.fresh, t.epoch
	t.fresh = nil
	t.lacking = nil
	var gone, stale []string
	for d, list := range t.entries {
		for _, e := range list {
			key := bus.RouteKey(e.route.Relay, d)
			switch {
			case fresh[key]:
			case e.route.Relay == t.self:
				t.lacking = append(t.lacking, d)
			case e.epoch == epoch:
				gone = append(gone, key)
			default:
				stale = append(stale, key)
			}
		}
	}
	t.mu.Unlock()
	for _, key := range gone { // nothing comes between: events come from one goroutine
		t.drop(key, func(entry) bool { return true })
	}
	if len(stale) == 0 {
		return
	}
	time.AfterFunc(forgetAfter, func() {
		for _, key := range stale {
			t.drop(key, func(e entry) bool { return e.epoch != epoch })
		}
	})
}
