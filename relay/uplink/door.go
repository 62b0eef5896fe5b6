package uplink

import (
	"maps"
	"slices"
	"time"

	"trunkline/internal/fault"
)

// enter counts a tunnel in, if there is room for one.
func (u *Uplink) enter() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.draining:
		return fault.New(fault.Draining, "This relay is stopping; use another one, or come again.").After(2 * time.Second)
	case u.count >= u.max:
		return fault.New(fault.TooMany, "This relay holds all the tunnels it may (tunnels.max).").After(time.Minute)
	}
	u.count++
	return nil
}

// stay is for a tunnel that was counted in and begins; stopped: it must end at
// once.
func (u *Uplink) stay(l *link) (stopped bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.held[l] = struct{}{}
	return u.stopped
}

// stop gives the tunnels that have begun and not ended. Those that begin from now
// on know by stay.
func (u *Uplink) stop() []*link {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	return slices.Collect(maps.Keys(u.held))
}

// leave is the end of a tunnel that was counted in, whether or not it has begun.
func (u *Uplink) leave(l *link) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.held, l)
	if u.count--; u.count == 0 && u.empty != nil {
		close(u.empty)
		u.empty = nil
	}
}

// SetMax changes how many tunnels are held at once; those beyond stay.
func (u *Uplink) SetMax(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.max = n
}

func (u *Uplink) maxTunnels() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.max
}

// Count is the number of tunnels held.
func (u *Uplink) Count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count
}
