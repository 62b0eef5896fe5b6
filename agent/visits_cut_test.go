package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// inside is a visit with a stream, told of by one tunnel of two.
type inside struct {
	*visits
	t             *testing.T
	first, second *held
	which         id.Visit
	leave         func()
	cuts          int
}

func newInside(t *testing.T) *inside {
	x := &inside{t: t, visits: newVisits(zap.NewNop(), func(visitsOnDisk) error { return nil }), first: &held{}, second: &held{}, which: id.NewVisit()}
	x.came(x.first, tunnel.Visit{ID: x.which, Who: "Ann", Method: "account", Started: time.Now()})
	leave, f := x.enter(x.which, func() { x.cuts++ })
	if f != nil {
		t.Fatal(f)
	}
	x.leave = leave
	return x
}

func (x *inside) want(what string, on bool, cuts int, code fault.Code) {
	x.t.Helper()
	now, past := x.list()
	if (len(now) == 1) != on || x.cuts != cuts {
		x.t.Errorf("%s: on %v, cut %d times, want %v, %d", what, len(now) == 1, x.cuts, on, cuts)
	}
	if !on && (len(past) != 1 || past[0].Code != code) {
		x.t.Errorf("%s: on record %+v, want %s", what, past, code)
	}
}

// That a relay is lost which served a visit, or its tunnel, is no end of the visit:
// streams that are there go on by another relay, and the PBX's staff can end it.
func TestALossCutsNoStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newInside(t)
		x.went(x.first, x.which, fault.RelayLost)
		x.want("its relay is lost", true, 0, "")
		time.Sleep(time.Hour)
		x.want("an hour later", true, 0, "")
		x.leave()
		x.want("its stream has ended", false, 0, fault.ConnectionLost)
		x.close()

		x = newInside(t)
		x.lost(x.first)
		time.Sleep(time.Hour)
		x.end(fault.EndedByPBX, func(v manage.Visit) bool { return v.ID == x.which })
		x.want("the staff end it", false, 1, fault.EndedByPBX)
		x.leave()
		x.close()
	})
}

// What somebody ends is over, whichever tunnel brought it up, and if none did.
func TestAnEndCutsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newInside(t)
		x.came(x.second, tunnel.Visit{ID: x.which, Who: "Ann", Method: "account", Started: time.Now()})
		x.went(x.second, x.which, fault.VisitIdle)
		x.want("idle by one tunnel", true, 0, "")
		x.went(x.second, x.which, fault.EndedByStaff)
		x.want("ended", false, 1, fault.EndedByStaff)
		x.went(x.first, x.which, fault.EndedByStaff)
		x.want("ended again", false, 2, fault.EndedByStaff)
		x.leave()
		x.close()

		x = newInside(t)
		x.went(x.first, x.which, fault.VisitIdle)
		x.want("idle by all", false, 1, fault.VisitIdle)
		x.leave()
		x.close()
	})
}
