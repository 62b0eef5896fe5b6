package relay

import (
	"fmt"
	"sync"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/id"
)

// namesakeTime is how long a lease that an earlier life of this relay may have
// left is watched: who lives renews it within bus.LeaseEvery.
const namesakeTime = bus.LeaseEvery * 3 / 2

// namesake finds out whether another relay lives that has this one's name. Two of
// them would take each other's routes down. Who comes while the other lives yields,
// whatever their clocks say: until it knows that it is alone a relay renews no lease,
// and says nothing in that name of what it does not hold. If both came at once, and
// are alone by what they saw, that one yields which began later by its clock.
type namesake struct {
	self    id.Relay
	started time.Time

	mu     sync.Mutex
	others map[time.Time]uint64 // by when a life began, the revision of its lease
	alone  chan struct{}        // closed when no other life of that name is left
	known  bool                 // alone is closed, or will be
}

func newNamesake(self id.Relay, started time.Time) *namesake {
	return &namesake{self: self, started: started, others: make(map[time.Time]uint64), alone: make(chan struct{})}
}

// apply takes one event of the leases' bucket. The error is of a relay that has
// to yield.
func (n *namesake) apply(e bus.Event[bus.Lease]) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case e.Kind == bus.Synced && !n.known:
		n.known = true
		if len(n.others) == 0 {
			close(n.alone)
			return nil
		}
		time.AfterFunc(namesakeTime, func() { close(n.alone) })
	case e.Kind == bus.Reset:
		clear(n.others) // revisions of another bucket say nothing
	case e.Kind == bus.Put && e.Key == string(n.self) && !e.Value.Started.Equal(n.started):
		rev, had := n.others[e.Value.Started]
		n.others[e.Value.Started] = e.Rev
		if lives := had && e.Rev > rev; lives && (!n.isAlone() || e.Value.Started.Before(n.started)) {
			return fmt.Errorf("another relay is called %s: it is at %v since %s, and lives; give this one a name of its own (name in its configuration)",
				n.self, e.Value.Addrs, e.Value.Started.Format(time.RFC3339))
		}
	}
	return nil
}

// isAlone reports whether the name is this relay's.
func (n *namesake) isAlone() bool {
	select {
	case <-n.alone:
		return true
	default:
		return false
	}
}
