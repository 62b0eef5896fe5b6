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
		r := newReporter(nil, zaptest.NewLogger(t))
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
