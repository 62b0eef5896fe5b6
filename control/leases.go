package control

import (
	"math/rand/v2"
	"sync"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/id"
)

// leases is which relays live, by when each was last heard of.
type leases struct {
	mu    sync.Mutex
	heard map[id.Relay]heard
}

type heard struct {
	lease bus.Lease
	at    time.Time
}

func newLeases() *leases { return &leases{heard: make(map[id.Relay]heard)} }

// apply reports whether a relay came or went.
func (l *leases) apply(e bus.Event[bus.Lease], now time.Time) bool {
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

// expire reports whether a relay went.
func (l *leases) expire(now time.Time) bool {
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

func (l *leases) live() map[id.Relay]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[id.Relay]bool, len(l.heard))
	for r := range l.heard {
		out[r] = true
	}
	return out
}

// addrs is where agents can dial, in random order so that they spread.
func (l *leases) addrs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, h := range l.heard {
		if !h.lease.Draining {
			out = append(out, h.lease.Addrs...)
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
