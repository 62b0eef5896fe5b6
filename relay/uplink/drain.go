package uplink

import (
	"context"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

const (
	// drainTick is how often a drain looks at the tunnels that are left.
	drainTick = 50 * time.Millisecond
	// moveTime is what an agent gets to open its new tunnel before the old one,
	// when idle, is taken away: it moves first and then lets go by itself.
	moveTime = time.Second
	// giveUp is for agents that do not move though they could.
	giveUp = 30 * time.Second
)

// Drain empties the relay: new tunnels are refused, and every agent is asked to
// move, one after the other over spread, or at once if there is no other relay, so
// that they are back the sooner when this one is. An agent that has moved ends its
// tunnel here with its last stream. One that does not move serves on, for other
// relays too. Once unneeded is closed, when nobody comes through this relay any
// more, tunnels are ended on which nothing runs: of agents that have moved, or
// have nowhere to go, and after half a minute of all. Drain returns when all
// tunnels are gone, or closes the rest when ctx ends.
func (u *Uplink) Drain(ctx context.Context, spread time.Duration, unneeded <-chan struct{}) {
	gone := u.startDrain()
	began := time.Now()
	if len(u.o.Elsewhere("", "")) == 0 { // no relay is to be spared a rush
		spread = 0
	}
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for {
		if ctx.Err() == nil {
			u.thin(ctx, began.Add(spread), unneeded)
		} else {
			u.links.Range(func(_ id.Device, l *link) bool {
				l.end(tunnel.ErrStopped)
				return true
			})
		}
		select {
		case <-gone: // after ctx soon: a tunnel that was ended does not wait for its socket
			return
		case <-tick.C:
		}
	}
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

// thin is one look at all tunnels: it asks as many agents to move as keeps the
// pace until at, and ends the tunnels that nobody needs.
func (u *Uplink) thin(ctx context.Context, at time.Time, unneeded <-chan struct{}) {
	deadline, _ := ctx.Deadline()
	moved, all := false, false
	select {
	case <-unneeded:
		moved = time.Now().After(at.Add(moveTime))
		all = moved && len(u.o.Elsewhere("", "")) == 0 || time.Now().After(at.Add(giveUp))
	default:
	}
	var stay []*link
	u.links.Range(func(_ id.Device, l *link) bool {
		switch {
		case (all || moved && l.leaving.Load()) && l.relay.Streams() == 0:
			l.end(fault.New(fault.Draining, "The relay is stopping."))
		case !l.drained:
			stay = append(stay, l)
		}
		return true
	})
	n := len(stay)
	if ticks := int(time.Until(at) / drainTick); ticks > 0 {
		n = (n + ticks - 1) / ticks
	}
	for _, l := range stay[:n] {
		l.drained = true
		l.move(time.Until(deadline), u.o.Elsewhere(l.device, l.region()))
	}
}

// move asks the agent to open a tunnel elsewhere, and tells it where that could
// be.
func (l *link) move(deadline time.Duration, to []string) {
	l.asked.Store(true)
	// A tunnel whose message cannot be sent is dead or stuck: its own pings see
	// to it, and a drain's deadline to both.
	_ = l.relay.Drain(tunnel.Drain{Deadline: deadline, Within: moveTime, Relays: to})
}

// rest is how long a tunnel stays before its agent is asked to move: longer than the
// bus needs to hear of it where it answers late. A word that comes after that of the
// next tunnel would end that one.
const rest = 5 * time.Second

// Move asks up to n agents to move to another relay, those first on whose
// tunnels nothing runs, and none whose tunnel has just come. Streams on a tunnel that
// has moved have until deadline from now.
func (u *Uplink) Move(n int, deadline time.Duration, to func(id.Device) []string) (asked int) {
	for _, idle := range []bool{true, false} {
		u.links.Range(func(_ id.Device, l *link) bool {
			if asked < n && !l.asked.Load() && (l.relay.Streams() == 0) == idle && time.Since(l.since) >= min(rest, u.o.Settle) {
				l.move(deadline, to(l.device))
				asked++
			}
			return asked < n
		})
	}
	return asked
}
