package loadtest

import (
	"math"
	"testing"

	"trunkline/loadtest/fleet"
)

// A share is a share of any stretch of the PBXs too.
func TestDealt(t *testing.T) {
	all := make([]*fleet.PBX, 1000)
	for i := range all {
		all[i] = new(fleet.PBX)
	}
	first := make(map[*fleet.PBX]bool)
	for _, p := range all[:200] {
		first[p] = true
	}
	for _, share := range []float64{0.01, 0.2, 0.5, 1} {
		got := dealt(all, share)
		early := 0
		for _, p := range got {
			if first[p] {
				early++
			}
		}
		if math.Abs(float64(len(got))-1000*share) > 3 || math.Abs(float64(early)-200*share) > 3 {
			t.Errorf("%g: %d of 1000, %d of the first 200", share, len(got), early)
		}
	}
}
