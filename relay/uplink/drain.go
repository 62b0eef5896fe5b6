package uplink

import (
	"context"
	"math/rand/v2"
	"time"

	"trunkline/internal/fault"
)

// Drain empties the relay: new tunnels are refused, every agent is told to
// move within spread and does so at a random moment of it, and a tunnel is
// closed when its last stream has ended. It returns when all tunnels are gone,
// or closes the rest when ctx ends.
func (u *Uplink) Drain(ctx context.Context, spread time.Duration) {
	gone := u.startDrain()
	deadline, _ := ctx.Deadline()
	u.links.Range(func(_, v any) bool {
		l := v.(*link)
		// A tunnel whose message cannot be sent is dead or stuck: its own
		// pings see to it, and the deadline to both.
		_ = l.relay.Drain(time.Until(deadline), rand.N(spread+1))
		return true
	})
	u.waitIdle(ctx, time.Now().Add(spread+moveTime))
	u.links.Range(func(_, v any) bool {
		v.(*link).end(fault.New(fault.Draining, "The relay stopped."))
		return true
	})
	<-gone // soon: a tunnel that was ended does not wait for its socket
}

// startDrain closes the door. Who comes after it is refused and not counted:
// there may be no end of them.
func (u *Uplink) startDrain() (gone <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.draining = true
	empty := make(chan struct{})
	if u.count == 0 {
		close(empty)
	} else {
		u.empty = empty
	}
	return empty
}

// moveTime is what an agent gets to open its new tunnel before the old one,
// when idle, is taken away: it moves first and then lets go by itself.
const moveTime = time.Second

// waitIdle closes tunnels that are idle at or after from.
func (u *Uplink) waitIdle(ctx context.Context, from time.Time) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		left := 0
		u.links.Range(func(_, v any) bool {
			if l := v.(*link); l.relay.Streams() == 0 && time.Now().After(from) {
				l.end(fault.New(fault.Draining, "The relay is stopping."))
			}
			left++
			return true
		})
		if left == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
