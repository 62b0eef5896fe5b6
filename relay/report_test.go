package relay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// One report that control does not take must not hold up all others; one that
// it cannot take now is repeated, also at the very end.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards got and away
		var got []id.Visit
		away := true
		setAway := func(v bool) { mu.Lock(); defer mu.Unlock(); away = v }
		heard := func() []id.Visit { mu.Lock(); defer mu.Unlock(); return slices.Clone(got) }
		r := newReporter(nil, "relay-1", zaptest.NewLogger(t))
		r.call = func(ctx context.Context, e bus.VisitEvent) error {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case e.Visit == "lost":
				return fault.New(fault.NotFound, "There is no such visit.")
			case away:
				return errors.Join(fault.New(fault.Unavailable, "away"), ctx.Err())
			}
			got = append(got, e.Visit)
			return nil
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		for _, v := range []id.Visit{"lost", "one", "two"} {
			r.Add(bus.VisitEvent{Visit: v})
		}
		time.Sleep(time.Minute)
		setAway(false)
		time.Sleep(time.Minute)
		if want := []id.Visit{"one", "two"}; !slices.Equal(heard(), want) {
			t.Errorf("control heard of %v, want %v", heard(), want)
		}
		setAway(true)
		r.Add(bus.VisitEvent{Visit: "three"})
		synctest.Wait() // it has been tried
		setAway(false)
		stop()
		if err := <-done; err != nil || !slices.Contains(heard(), "three") {
			t.Errorf("the last report is lost: %v, %v", heard(), err)
		}
	})
}

// Control hears a relay in its own name. One of the version before hears only the old
// way, and gets the report all the same.
func TestReportsInItsOwnName(t *testing.T) {
	b, err := bus.Open(t.Context(), bus.Config{}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	type report struct {
		as    id.Relay // "": in the old way
		visit id.Visit
	}
	heard := make(chan report, 4)
	stop, err := bus.Handle(b, bus.SubjectVisitEvent, func(_ context.Context, e bus.VisitEvent) (struct{}, error) {
		heard <- report{"", e.Visit}
		return struct{}{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	r := newReporter(b, "relay-1", zaptest.NewLogger(t))
	reports := func(to string, as id.Relay) {
		t.Helper()
		v := id.NewVisit()
		if err := r.send(t.Context(), bus.VisitEvent{Visit: v, Relay: "relay-1"}); err != nil {
			t.Fatal(err)
		}
		if n := len(heard); n != 1 {
			t.Fatalf("%s hears %d reports", to, n)
		}
		if got := <-heard; got != (report{as, v}) {
			t.Errorf("%s hears %v", to, got)
		}
	}
	reports("a control of before", "")
	stopOwn, err := bus.HandleAs(b, bus.SubjectVisitEvent, func(_ context.Context, as id.Relay, e bus.VisitEvent) (struct{}, error) {
		heard <- report{as, e.Visit}
		return struct{}{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stopOwn()
	reports("control", "relay-1")
}
