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
	"sync/atomic"
	"unique"

	"github.com/puzpuzpuz/xsync/v4"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// Table is the map. Reads are lock-free; writes come from one watcher and
// from this relay's own tunnels.
type Table struct {
	self id.Relay
	// replaced is told of a device that has a newer tunnel at another relay.
	replaced func(id.Device, bus.Route)
	// swapped is told of a site that another of its two devices serves from now
	// on. It must neither block nor write to the table.
	swapped func(id.Site, id.Device)

	devices *xsync.Map[id.Device, *word] // the word that counts; those of other relays are its next
	sites   *xsync.Map[id.Site, *word]   // of the device that serves

	known atomic.Bool // a snapshot of the bus was complete

	mu       sync.Mutex              // of writers
	pairs    map[id.Site][]id.Device // of sites with more than one device that has a route
	epoch    unique.Handle[string]   // of the bucket as it is now
	snapshot uint32                  // how many have begun
	reading  bool                    // the last of them
	lacking  []id.Device             // own ones that the last snapshot lacked
}

func NewTable(self id.Relay, replaced func(id.Device, bus.Route), swapped func(id.Site, id.Device)) *Table {
	return &Table{
		self: self, replaced: replaced, swapped: swapped, pairs: make(map[id.Site][]id.Device), epoch: unique.Make(""),
		devices: xsync.NewMap[id.Device, *word](), sites: xsync.NewMap[id.Site, *word](),
	}
}

// Device is the route of a device.
func (t *Table) Device(d id.Device) (bus.Route, bool) {
	w, ok := t.devices.Load(d)
	if !ok {
		return bus.Route{}, false
	}
	return w.route(), true
}

// Site is the route of a site's active device.
func (t *Table) Site(s id.Site) (bus.Route, bool) {
	w, ok := t.sites.Load(s)
	if !ok {
		return bus.Route{}, false
	}
	return w.route(), true
}

// Second is the route of a device's second tunnel, if it has one that is up.
func (t *Table) Second(d id.Device) (bus.Route, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for w, _ := t.devices.Load(d); w != nil; w = w.next {
		if k := w.kind.Value(); k.second && k.down == "" {
			return w.route(), true
		}
	}
	return bus.Route{}, false
}

// Len is of how many devices a relay has said something lately.
func (t *Table) Len() int {
	t.mu.Lock() // who asks also wants to know whether it is free
	defer t.mu.Unlock()
	return t.devices.Size()
}

// Known reports whether the bus has told of all routes, once.
func (t *Table) Known() bool { return t.known.Load() }

// Apply takes one event of the routes bucket, in order. It reports whether the
// bus has now another word under this relay's name than this relay's last one:
// a word that was long under way, from a connection that was cut, may arrive
// after those that followed it, and stays there if nobody says better.
func (t *Table) Apply(e bus.Event[bus.Route]) (misquoted bool) {
	switch e.Kind {
	case bus.Reset:
		t.reset(e.Epoch)
	case bus.Put:
		return t.put(e)
	case bus.Delete:
		return t.delete(e)
	case bus.Synced:
		t.synced()
		t.known.Store(true)
	}
	return false
}

func (t *Table) put(e bus.Event[bus.Route]) (misquoted bool) {
	r := e.Value
	if e.Key != bus.RouteKey(r.Relay, r.Device) {
		return false // a relay can only speak for itself: the bus checks the key, we check the value
	}
	said := revision{unique.Make(e.Epoch), e.Rev}
	t.mu.Lock()
	own := r.Relay == t.self
	if own {
		have := t.of(t.self, r.Device) // nil in a snapshot: left by an earlier life of this relay
		if have == nil && !t.reading || have != nil && !sameWord(have.route(), r) {
			t.mu.Unlock() // an echo of what has changed since
			return have == nil || said.follows(have.said)
		}
	}
	w := newWord(r, said)
	w.seen = t.snapshot
	t.set(w)
	lost := !own && r.Down == "" && t.isNewest(r)
	t.mu.Unlock()
	if lost {
		t.replaced(r.Device, r)
	}
	return false
}

// delete forgets a route, but not one of this relay's tunnels: those it forgets
// itself.
func (t *Table) delete(e bus.Event[bus.Route]) (misquoted bool) {
	relay, device, ok := bus.SplitRouteKey(e.Key)
	if !ok {
		return false
	}
	said := revision{unique.Make(e.Epoch), e.Rev}
	if relay == t.self {
		t.mu.Lock()
		defer t.mu.Unlock()
		have := t.of(relay, device)
		return have != nil && said.follows(have.said)
	}
	t.drop(relay, device, func(w *word) bool { return w.said.epoch == said.epoch && w.said.rev <= said.rev })
	return false
}

// SetOwn records a route of this relay before the bus knows it, so that a
// tunnel serves at once, and while the bus is away.
func (t *Table) SetOwn(r bus.Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := newWord(r, revision{epoch: t.epoch})
	if was := t.of(r.Relay, r.Device); was != nil {
		w.seen = was.seen
	}
	t.set(w)
}

// DropOwn forgets this relay's route of d.
func (t *Table) DropOwn(d id.Device) {
	t.drop(t.self, d, func(*word) bool { return true })
}

// Said is what this relay itself said last of a device.
func (t *Table) Said(d id.Device) (bus.Route, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.of(t.self, d)
	if w == nil {
		return bus.Route{}, false
	}
	return w.route(), true
}

// Own lists the routes that the bus has under this relay's name.
func (t *Table) Own() []bus.Route {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []bus.Route
	for w := range t.words() {
		if w.kind.Value().relay == t.self {
			out = append(out, w.route())
		}
	}
	return out
}

func sameWord(a, b bus.Route) bool {
	return a.Tunnel == b.Tunnel && a.Second == b.Second && a.Down == b.Down && a.Fault == b.Fault && a.Logins == b.Logins && sameStandby(a.Standby, b.Standby) &&
		a.Portal.Origin == b.Portal.Origin && slices.Equal(a.Portal.Aliases, b.Portal.Aliases)
}

func sameStandby(a, b *tunnel.Standby) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// isNewest reports whether r took its device from a tunnel here.
func (t *Table) isNewest(r bus.Route) bool {
	own := t.of(t.self, r.Device)
	if own == nil {
		return false
	}
	k := own.kind.Value()
	if k.down != "" || k.second != r.Second {
		return false
	}
	best, ok := t.devices.Load(r.Device)
	return ok && best.kind.Value().relay == r.Relay
}
