package agent

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// The end of a visit ends its streams. That a relay is lost which served it, or its
// tunnel, is no end of the visit: streams that are there go on by another relay.
func TestOnlyAnEndCutsStreams(t *testing.T) {
	v, h := newVisits(zap.NewNop(), func(visitsOnDisk) error { return nil }), &held{}
	defer v.close()
	which, cuts := id.NewVisit(), 0
	leave, f := v.enter(which, func() { cuts++ })
	if f != nil {
		t.Fatal(f)
	}
	defer leave()
	now := func(want int, code fault.Code) {
		t.Helper()
		v.came(h, tunnel.Visit{ID: which, Who: "Ann", Method: "account", Started: time.Now()})
		v.went(h, which, code)
		if on, past := v.list(); len(on) != 0 || past[0].Code != code || cuts != want {
			t.Errorf("%s: %d on, last ended %s, cut %d times, want %d", code, len(on), past[0].Code, cuts, want)
		}
	}
	now(0, fault.RelayLost)
	now(0, fault.ConnectionLost)
	now(1, fault.VisitEnded)
}
