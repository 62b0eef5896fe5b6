package placement_test

import (
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/placement"
)

// However few go in a minute, they go: over ten minutes of looks, exactly so
// many.
func TestPace(t *testing.T) {
	const minutes = 10
	for _, perMinute := range []int{0, 1, 7, 29, 30, 60, 100} {
		var p placement.Pace
		n := 0
		for range minutes * time.Minute / bus.LeaseEvery {
			n += p.Take(1000, perMinute, bus.LeaseEvery)
		}
		if n != perMinute*minutes {
			t.Errorf("%d a minute: %d went in %d minutes", perMinute, n, minutes)
		}
	}
}

func TestPaceSavesNothing(t *testing.T) {
	var p placement.Pace
	for range 1000 {
		p.Take(0, 60, bus.LeaseEvery)
	}
	if n := p.Take(1000, 60, bus.LeaseEvery); n != 2 {
		t.Errorf("%d went in the first look after a quiet time, want 2", n)
	}
}
