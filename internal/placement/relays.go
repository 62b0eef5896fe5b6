// Package placement says at which relays a device's tunnel should be: which
// relays live, in which order an agent tries them, and when one of them holds
// more than its share. Control places agents that activate or renew their pass;
// a relay places those that it asks to move. Both see the same leases, and come
// to the same order.
package placement

import (
	"sync"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/id"
)

// Relays is which relays live, by when each was last heard of. Safe for
// concurrent use.
type Relays struct {
	mu    sync.Mutex
	heard map[id.Relay]heard
}

type heard struct {
	lease bus.Lease
	at    time.Time
}

func New() *Relays { return &Relays{heard: make(map[id.Relay]heard)} }

// Apply takes one event of the bucket of leases. It reports whether a relay
// came or went.
func (l *Relays) Apply(e bus.Event[bus.Lease], now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Kind {
	case bus.Put:
		if e.Key != string(e.Value.Relay) {
			return false // a relay speaks for itself only
		}
		_, had := l.heard[e.Value.Relay]
		l.heard[e.Value.Relay] = heard{e.Value, now}
		return !had
	case bus.Delete:
		_, had := l.heard[id.Relay(e.Key)]
		delete(l.heard, id.Relay(e.Key))
		return had
	case bus.Reset: // the bus was away: give every relay its time to renew
		for r, h := range l.heard {
			l.heard[r] = heard{h.lease, now}
		}
	}
	return false
}

// Expire reports whether a relay went.
func (l *Relays) Expire(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := false
	for r, h := range l.heard {
		if now.Sub(h.at) > bus.LeaseTTL {
			delete(l.heard, r)
			gone = true
		}
	}
	return gone
}

// Live is the names of those that live.
func (l *Relays) Live() map[id.Relay]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[id.Relay]bool, len(l.heard))
	for r := range l.heard {
		out[r] = true
	}
	return out
}

// Lease is a relay's, if it lives.
func (l *Relays) Lease(r id.Relay) (bus.Lease, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, ok := l.heard[r]
	return h.lease, ok
}

// Leases is those of all that live.
func (l *Relays) Leases() []bus.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]bus.Lease, 0, len(l.heard))
	for _, h := range l.heard {
		out = append(out, h.lease)
	}
	return out
}
