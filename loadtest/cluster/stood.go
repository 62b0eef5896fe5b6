package cluster

import (
	"context"
	"time"

	"trunkline/loadtest/clock"
)

const (
	// stoodEvery is how often this process looks whether it runs.
	stoodEvery = 20 * time.Millisecond
	// stoodLong is from when on that is worth a word: visitors and the balancer
	// see it as if a relay had been slow.
	stoodLong = 500 * time.Millisecond
)

// stood is for how long this process did not come to run, at the longest, until ctx
// ends. All PBXs, all visitors and the balancer are in it: where the machine has too
// few processors for them it stands still, and no relay need have.
func stood(ctx context.Context) (longest time.Duration) {
	for last := time.Now(); clock.Sleep(ctx, stoodEvery); {
		now := time.Now()
		longest = max(longest, now.Sub(last)-stoodEvery)
		last = now
	}
	return longest
}
