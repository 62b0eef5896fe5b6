package peer_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"trunkline/internal/bus"
)

// A relay without links is told of while its lease lives, and no longer: who is
// no more raises no alarm.
func TestLinksAreCountedToLiveRelays(t *testing.T) {
	_, first, second := pair(t)
	series := func(want int, when string) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			n, err := testutil.GatherAndCount(first.reg, "trunkline_relay_peer_links")
			if err == nil && n == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %d relays, %v; want %d", when, n, err, want)
			}
		}
	}
	series(1, "both live")
	second.stop()
	series(1, "the other does not answer, its lease lives")
	first.Apply(bus.Event[bus.Lease]{Kind: bus.Delete, Key: "relay-2"})
	series(0, "the other's lease has ended")
}
