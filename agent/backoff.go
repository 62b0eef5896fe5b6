package agent

import (
	"math/rand/v2"
	"time"
)

const (
	maxHint = 5 * time.Minute // a relay cannot send us away for longer
	// minSlow and maxSlow bound the wait where only a person can change the answer.
	minSlow = 10 * time.Minute
	maxSlow = 15 * time.Minute
)

// backoff is full jitter: each wait is uniform in [0, min(max, base*2^n)), so
// that thousands of agents that fell at once do not come back at once.
// (Exponential Backoff And Jitter, AWS Architecture Blog, 2015.)
type backoff struct {
	base, max time.Duration
	n         int
}

func (b *backoff) next() time.Duration {
	limit := b.limit()
	b.n++
	return rand.N(limit)
}

// limit is the bound of the next wait.
func (b *backoff) limit() time.Duration {
	d := b.base
	for range b.n {
		if d *= 2; d >= b.max {
			return b.max
		}
	}
	return d
}

func (b *backoff) reset() { b.n = 0 }

// slow is the wait for a person's doing.
func slow() time.Duration { return between(minSlow, maxSlow) }

// hinted is wait, but not before what the other side asked for, and spread
// over another quarter of it.
func hinted(wait, hint time.Duration) time.Duration {
	if hint <= 0 {
		return wait
	}
	hint = min(hint, maxHint)
	return max(wait, hint+rand.N(hint/4+1))
}

func between(lo, hi time.Duration) time.Duration { return lo + rand.N(hi-lo) }
