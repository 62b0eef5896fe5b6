package tunnel

import (
	"time"

	"trunkline/internal/id"
)

const (
	// keenPings is how many times as often a relay is asked whether it answers while
	// somebody visits: pages wait for the PBX to be elsewhere.
	keenPings = 4
	// keenVisits bounds the visits that are known of.
	keenVisits = 1024
)

// visited notes a visit of this tunnel's.
func (a *Agent) visited(v id.Visit) {
	if len(a.visits) >= keenVisits {
		return
	}
	if a.visits == nil {
		a.visits = make(map[id.Visit]struct{})
	}
	a.visits[v] = struct{}{}
	if a.keen.Swap(true) {
		return
	}
	a.timers.Lock()
	defer a.timers.Unlock()
	if a.timers.stopped || a.timers.next == nil {
		return
	}
	if soon := time.Now().Add(a.pingIn()); soon.Before(a.timers.ping) {
		a.timers.ping = soon
		a.timers.next.Reset(0)
	}
}

func (a *Agent) left(v id.Visit) {
	delete(a.visits, v)
	a.keen.Store(len(a.visits) > 0)
}
