package edge

import (
	"testing"
	"time"

	"trunkline/internal/clocktest"
)

// A PBX that has had its bytes waits for as long as they take, whatever the
// relay's clock is set to meanwhile.
func TestAStepMovesNoLimit(t *testing.T) {
	for name, step := range map[string]time.Duration{"an hour ahead": time.Hour, "an hour back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			var b bucket
			b.take(2*time.Second, time.Second, time.Minute, now)
			if wait := b.take(0, time.Second, time.Minute, clocktest.Step(now, step)); wait != time.Second {
				t.Errorf("the wait is %v, want 1s", wait)
			}
		})
	}
}

// Nor does what moved a moment ago stand still for an hour.
func TestAStepLeavesWhatMoved(t *testing.T) {
	now := time.Now()
	moved := instant(clocktest.Step(now, -time.Hour))
	if d := instant(clocktest.Step(now.Add(time.Second), time.Hour)) - moved; time.Duration(d) != time.Second {
		t.Errorf("%v, want 1s", time.Duration(d))
	}
}
