package load_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/bench/load"
)

// In an open loop whoever had to come late has waited since its time: one answer
// that takes a second is a long wait for all that were due meanwhile.
func TestOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := true
		o, err := load.Open(t.Context(), 1, 10, 3*time.Second, func(int) error {
			if slow {
				time.Sleep(time.Second)
			}
			slow = false
			return nil
		})
		if err != nil || o.Ops() != 30 {
			t.Fatalf("%d operations, %v", o.Ops(), err)
		}
		if got := o.Within(1); got != 1e9 {
			t.Errorf("the longest wait is %v", got)
		}
		if got := o.Within(0.75); got != 3e8 { // 10 of 30 were late: by 1.0, 0.9, ... 0.1 s
			t.Errorf("three quarters waited %v", got)
		}
	})
}

// Two workers have half the rate each, between each other's.
func TestOpenLoopShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at := make(chan time.Duration, 100)
		o, err := load.Open(t.Context(), 2, 10, time.Second, func(int) error {
			at <- time.Since(began)
			return nil
		})
		if err != nil || o.Ops() != 10 {
			t.Fatalf("%d operations, %v", o.Ops(), err)
		}
		for i := range 10 {
			if got := <-at; got != time.Duration(i)*100*time.Millisecond {
				t.Errorf("operation %d at %v", i, got)
			}
		}
	})
}

// In a closed loop the next is asked when the last is answered.
func TestClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := load.Closed(t.Context(), 2, time.Second, func(i int) error {
			time.Sleep(time.Duration(i+1) * 100 * time.Millisecond)
			return nil
		})
		if err != nil || o.Ops() != 10+5 || o.Took != time.Second {
			t.Errorf("%d operations in %v, %v", o.Ops(), o.Took, err)
		}
		if x := o.Extras("req"); x["req/s"] != 15 || x["p50-ns/op"] != 1e8 || x["p99-ns/op"] != 0 {
			t.Errorf("%v", x)
		}
	})
}

func TestLoopsEnd(t *testing.T) {
	broken := errors.New("broken")
	if _, err := load.Closed(t.Context(), 3, time.Minute, func(int) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a failing operation: %v", err)
	}
	if _, err := load.Open(t.Context(), 3, 1000, time.Minute, func(int) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a failing operation: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if _, err := load.Closed(ctx, 1, time.Minute, func(int) error { return nil }); !errors.Is(err, broken) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := load.Closed(t.Context(), 1, 0, func(int) error { return nil }); !errors.Is(err, load.ErrNothing) {
		t.Errorf("no time: %v", err)
	}
}
