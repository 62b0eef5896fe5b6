package trust

import (
	"sync"
	"time"
)

// Activity is what a request says of whoever made it.
type Activity uint8

const (
	// Passive requests come of themselves: a page's images and scripts, an
	// event stream that reconnects.
	Passive Activity = iota
	// Asked for by a script: a person's click, or the page's own polling.
	// Only time tells them apart.
	Asked
	// Person is a navigation that the browser says a person began.
	Person
)

const (
	// pollAfter is how many requests in a row must come at a steady pace to
	// count as polling. A page that begins to poll is taken for a person for
	// as long, no more.
	pollAfter = 4
	// Intervals within this factor of their mean are steady: timers are
	// throttled, jittered and late, people pause.
	steady = 2.5
	// A burst is no pace: what follows within it belongs together.
	burst = 2 * time.Second
	// maxKeys bounds what is remembered of one visit.
	maxKeys = 64
)

// cadence tells a person's operations from what a page does by itself, by the
// pace at which the same thing is asked for. The zero value is ready.
type cadence struct {
	mu   sync.Mutex
	keys map[uint64]pace
}

type pace struct {
	last time.Time
	mean time.Duration // of the intervals of the run
	run  int           // intervals in a row at about this mean
}

// operation reports whether a request for key shows that a person is at work.
func (c *cadence) operation(a Activity, key uint64, now time.Time) bool {
	switch a {
	case Passive:
		return false
	case Person:
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p, known := c.keys[key]
	if !known {
		c.addLocked(key, now)
		return true
	}
	gap := now.Sub(p.last)
	switch {
	case gap <= 0:
		return p.run < pollAfter // the clock was set back, or two at once
	case p.run > 0 && p.fits(gap):
		p.run++
		p.mean += (gap - p.mean) / 4
	default:
		p.run, p.mean = 1, gap
	}
	p.last = now
	c.keys[key] = p
	return p.run < pollAfter
}

func (p pace) fits(gap time.Duration) bool {
	if gap <= burst && p.mean <= burst {
		return true
	}
	return float64(gap) <= steady*float64(p.mean) && float64(p.mean) <= steady*float64(gap)
}

// addLocked forgets the key that was asked for longest ago if there is no
// room: if it is asked for again, that passes for a person once.
func (c *cadence) addLocked(key uint64, now time.Time) {
	if c.keys == nil {
		c.keys = make(map[uint64]pace)
	}
	if len(c.keys) >= maxKeys {
		var oldest uint64
		first := true
		for k, p := range c.keys {
			if first || p.last.Before(c.keys[oldest].last) {
				oldest, first = k, false
			}
		}
		delete(c.keys, oldest)
	}
	c.keys[key] = pace{last: now}
}
