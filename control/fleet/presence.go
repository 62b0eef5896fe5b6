package fleet

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// leaseDoubt is how long a lease may be missing before its relay counts as
// lost: a bucket that came back empty is refilled within bus.LeaseEvery, and
// a whole fleet must not blink for it.
const leaseDoubt = bus.LeaseEvery + 500*time.Millisecond

// settleTime is how long relays have to name their devices again, once a
// snapshot of the bucket is in: each finds the bus again in its own time.
const settleTime = 10 * time.Second

// presence is what the relays say of the devices, in memory. What changes is
// marked dirty; flush carries it to the database and to the watchers.
//
// Until the relays have had time to speak up (the bucket's snapshot is in, and
// settleTime has passed), nothing is concluded from their silence: a device then
// shows what it showed last.
type presence struct {
	now    func() time.Time
	gauge  *prometheus.GaugeVec
	silent prometheus.Gauge                 // connected, and their portals do not answer
	wake   chan struct{}                    // something is dirty; capacity 1
	facts  func(id.Device, *tunnel.Standby) // told of a tunnel that is up; must not block

	mu      sync.Mutex
	blind   time.Time // since when it tells nothing; zero: it does
	dim     time.Time // blind, of those that were not named since it is back
	back    time.Time // when it came back
	epoch   string
	settle  time.Time // silence means loss from here on; zero: not synced yet
	settled bool      // settle has passed and was acted on
	devices map[id.Device]*entry
	relays  map[id.Relay]*relayState
	dirty   map[id.Device]bool      // true: it was touched
	visited map[visitPlace]struct{} // to be told to the watchers
	removed map[id.Device]Device    // to be told to the watchers
}

// entry is the route that counts for one device.
type entry struct {
	route bus.Route
	epoch string
	rev   uint64
	seen  bool      // since the last reset
	shown Presence  // what follows from it
	past  id.Tunnel // the one before route's: a relay that was cut off may still tell of it
}

type lease int

const (
	leaseUnknown  lease = iota // a route names the relay, no lease was seen yet
	leaseLive                  //
	leaseDoubtful              // missing since at
	leaseLost                  // missing since at, for too long
)

type relayState struct {
	lease lease
	at    time.Time
}

func newPresence(now func() time.Time, gauge *prometheus.GaugeVec, silent prometheus.Gauge, facts func(id.Device, *tunnel.Standby)) *presence {
	return &presence{
		now: now, gauge: gauge, silent: silent, facts: facts, wake: make(chan struct{}, 1),
		devices: make(map[id.Device]*entry), relays: make(map[id.Relay]*relayState),
		dirty: make(map[id.Device]bool), visited: make(map[visitPlace]struct{}), removed: make(map[id.Device]Device),
	}
}

// ApplyReset says that the route bucket is being read anew; epoch names its
// incarnation.
func (f *Fleet) ApplyReset(epoch string) {
	p := f.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch, p.settle, p.settled = epoch, time.Time{}, false
	for _, e := range p.devices {
		e.seen = false
	}
}

// ApplySynced says that the bucket's snapshot is complete.
func (f *Fleet) ApplySynced() {
	p := f.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle = p.now().Add(settleTime)
}

// ApplyRoute takes one change of the route bucket. A second tunnel says nothing of
// its device until it is the first.
func (f *Fleet) ApplyRoute(e RouteEvent) {
	if e.Route.Second {
		return
	}
	p := f.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	cur := p.devices[e.Route.Device]
	if e.Deleted {
		p.deleteLocked(cur, e)
		return
	}
	if !p.supersedesLocked(cur, e) {
		return
	}
	if cur == nil {
		cur = &entry{}
		p.devices[e.Route.Device] = cur
	}
	if cur.route.Tunnel != e.Route.Tunnel {
		cur.past = cur.route.Tunnel
	}
	cur.route, cur.epoch, cur.rev, cur.seen = e.Route, e.Epoch, e.Rev, true
	if _, ok := p.relays[e.Route.Relay]; !ok {
		p.relays[e.Route.Relay] = &relayState{at: p.now()}
	}
	if e.Route.Down == "" {
		p.facts(e.Route.Device, e.Route.Standby)
	}
	p.refreshLocked(e.Route.Device, cur)
}

// connected counts the account's devices that have a tunnel now, which the database
// may hear of later.
func (p *presence) connected(a id.Account) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.devices {
		if e.route.Account == a && e.shown.Status == StatusConnected {
			n++
		}
	}
	return n
}

// supersedesLocked reports whether e counts more than what is known. The
// newest does; but that a tunnel ended at one relay says nothing of the
// device's tunnel at another, live one.
func (p *presence) supersedesLocked(cur *entry, e RouteEvent) bool {
	if cur == nil {
		return true
	}
	if cur.epoch == e.Epoch && e.Rev <= cur.rev {
		if e.Rev == cur.rev {
			cur.seen = true
		}
		return false
	}
	if e.Route.Tunnel != "" && e.Route.Tunnel == cur.past && cur.route.Down == "" {
		return false
	}
	elsewhere := e.Route.Relay != cur.route.Relay
	return !(e.Route.Down != "" && elsewhere && cur.shown.Status == StatusConnected)
}

// deleteLocked is for a relay that takes its word back. Where it had not said
// why the tunnel ended, all that is known is that it did. Of a relay that is lost
// control has taken it back, and the tunnel ended when the relay was lost.
func (p *presence) deleteLocked(cur *entry, e RouteEvent) {
	if cur == nil || cur.route.Relay != e.Route.Relay || cur.epoch == e.Epoch && e.Rev <= cur.rev {
		return
	}
	cur.epoch, cur.rev, cur.seen = e.Epoch, e.Rev, true
	if cur.route.Down == "" {
		cur.route.Down, cur.route.Since = fault.ConnectionLost, p.now().UTC()
		if s := p.relays[cur.route.Relay]; s != nil && s.lease == leaseLost {
			cur.route.Down, cur.route.Since = fault.RelayLost, s.at.UTC()
		}
	}
	p.refreshLocked(e.Route.Device, cur)
}

// SetLeases says which relays are alive. The devices of one that is missing
// for a while show relay_lost.
func (f *Fleet) SetLeases(live map[id.Relay]bool) {
	p := f.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	back := make(map[id.Relay]bool)
	for r, ok := range live {
		if !ok {
			continue
		}
		s := p.relays[r]
		if s == nil {
			s = &relayState{}
			p.relays[r] = s
		}
		back[r] = s.lease == leaseLost
		*s = relayState{lease: leaseLive, at: now}
	}
	for r, s := range p.relays {
		if !live[r] && s.lease == leaseLive {
			*s = relayState{lease: leaseDoubtful, at: now}
		}
	}
	p.refreshRelaysLocked(back)
}

// tick draws the conclusions that only time allows. due is true once after
// each snapshot has settled: devices that the database takes for connected
// and that no relay has named are then lost.
func (p *presence) tick() (due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if !p.blind.IsZero() { // silence says nothing
		return false
	}
	lost := make(map[id.Relay]bool)
	for r, s := range p.relays {
		switch waited := now.Sub(s.at); {
		case s.lease == leaseDoubtful && waited > leaseDoubt:
			s.lease, lost[r] = leaseLost, true
		case s.lease == leaseUnknown && waited > bus.LeaseTTL:
			s.lease, s.at, lost[r] = leaseLost, now, true
		}
	}
	p.refreshRelaysLocked(lost)
	if p.settle.IsZero() || p.settled || now.Before(p.settle) {
		return false
	}
	p.settled, p.dim = true, time.Time{}
	for d, e := range p.devices {
		if !e.seen && e.route.Down == "" {
			p.loseLocked(d, e, now)
		}
	}
	return true
}

// adopt takes in devices that the database has as connected. Since is when we
// noticed: nobody was there to see when it happened.
func (p *presence) adopt(ds []Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range ds {
		if _, ok := p.devices[d.ID]; ok {
			continue
		}
		e := &entry{route: bus.Route{Relay: d.Presence.Relay, Device: d.ID, Remote: d.Presence.Remote, Agent: d.Presence.Agent, Logins: d.Presence.Logins}}
		p.devices[d.ID] = e
		p.loseLocked(d.ID, e, p.now())
	}
}

// loseLocked leaves no revision behind, so that whatever comes supersedes it.
func (p *presence) loseLocked(d id.Device, e *entry, now time.Time) {
	e.route.Down, e.route.Since, e.epoch, e.rev = fault.RelayLost, now.UTC(), "", 0
	p.refreshLocked(d, e)
}

func (p *presence) refreshRelaysLocked(which map[id.Relay]bool) {
	any := false
	for _, yes := range which {
		any = any || yes
	}
	if !any {
		return
	}
	for d, e := range p.devices {
		if which[e.route.Relay] {
			p.refreshLocked(d, e)
		}
	}
}

func (p *presence) refreshLocked(d id.Device, e *entry) {
	next := shown(e.route, p.relays[e.route.Relay])
	if next.equal(e.shown) {
		return
	}
	if e.shown.Status != "" {
		p.gauge.WithLabelValues(string(e.shown.Status)).Dec()
	}
	if e.shown.Status == StatusConnected && e.shown.Reason != "" {
		p.silent.Dec()
	}
	if next.Status == StatusConnected && next.Reason != "" {
		p.silent.Inc()
	}
	p.gauge.WithLabelValues(string(next.Status)).Inc()
	e.shown = next
	if _, dirty := p.dirty[d]; !dirty {
		p.dirty[d] = false
	}
	p.wakeUp()
}

// shown is what a route means, given its relay's lease.
func shown(r bus.Route, s *relayState) Presence {
	out := Presence{Status: StatusConnected, Since: r.Since.UTC(), Relay: r.Relay, Remote: r.Remote, Agent: r.Agent, Logins: r.Logins}
	switch {
	case r.Down != "":
		out.Status, out.Reason = StatusDisconnected, r.Down
	case s != nil && s.lease == leaseLost:
		out.Status, out.Reason, out.Since = StatusDisconnected, fault.RelayLost, s.at.UTC()
	default:
		out.Reason = r.Fault
	}
	return out
}

func (p Presence) equal(o Presence) bool {
	same := p.Since.Equal(o.Since)
	p.Since, o.Since = time.Time{}, time.Time{}
	return same && p == o
}

// wakeUp never blocks.
func (p *presence) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
