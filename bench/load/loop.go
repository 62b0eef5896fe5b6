package load

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Outcome is what load there was, and how long each operation was waited for.
type Outcome struct {
	waits []time.Duration // sorted
	Took  time.Duration
}

// Ops is how many operations there were.
func (o Outcome) Ops() int64 { return int64(len(o.waits)) }

// Within is the wait that a share of the operations did not exceed, in ns.
func (o Outcome) Within(share float64) float64 {
	if len(o.waits) == 0 {
		return 0
	}
	return float64(o.waits[min(len(o.waits)-1, int(share*float64(len(o.waits))))])
}

// Extras are the waits and the rate. A thousandth of a few is nothing.
func (o Outcome) Extras(op string) map[string]float64 {
	out := map[string]float64{op + "/s": float64(o.Ops()) / o.Took.Seconds()}
	for unit, share := range map[string]float64{"p50-ns/op": 0.5, "p99-ns/op": 0.99, "p999-ns/op": 0.999} {
		if float64(o.Ops())*(1-share) >= 1 {
			out[unit] = o.Within(share)
		}
	}
	return out
}

// ErrNothing is load that never was: a figure of it would be a division by zero.
var ErrNothing = errors.New("nothing was done in the time given")

// Closed has workers do something again and again for a time: each waits
// for an answer before it asks anew, so a slow server is asked less.
func Closed(ctx context.Context, workers int, d time.Duration, do func(worker int) error) (Outcome, error) {
	end := time.Now().Add(d)
	return drive(ctx, workers, func(worker int, wait func(time.Duration)) error {
		for began := time.Now(); began.Before(end) && ctx.Err() == nil; {
			if err := do(worker); err != nil {
				return err
			}
			now := time.Now()
			wait(now.Sub(began))
			began = now
		}
		return nil
	})
}

// Open starts operations when their time has come, whatever became of those
// before: a wait begins at the time that was set, so one that began late
// because its worker was waiting still counts in full (coordinated omission).
// Workers have the rate between them, each its own, evenly shifted.
func Open(ctx context.Context, workers, rate int, d time.Duration, do func(worker int) error) (Outcome, error) {
	began, gap := time.Now(), time.Duration(workers)*time.Second/time.Duration(rate)
	return drive(ctx, workers, func(worker int, wait func(time.Duration)) error {
		at := began.Add(gap * time.Duration(worker) / time.Duration(workers))
		for ; at.Sub(began) < d; at = at.Add(gap) {
			if err := until(ctx, at); err != nil {
				return err
			}
			if err := do(worker); err != nil {
				return err
			}
			wait(time.Since(at))
		}
		return nil
	})
}

func drive(ctx context.Context, workers int, work func(worker int, wait func(time.Duration)) error) (o Outcome, err error) {
	began := time.Now()
	var mu sync.Mutex
	var g errgroup.Group
	for i := range workers {
		g.Go(func() error {
			var own []time.Duration
			err := work(i, func(d time.Duration) { own = append(own, d) })
			mu.Lock()
			defer mu.Unlock()
			o.waits = append(o.waits, own...)
			return err
		})
	}
	if err := errors.Join(context.Cause(ctx), g.Wait()); err != nil {
		return Outcome{}, err
	}
	if len(o.waits) == 0 {
		return Outcome{}, ErrNothing
	}
	slices.Sort(o.waits)
	o.Took = time.Since(began)
	return o, nil
}

func until(ctx context.Context, at time.Time) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Until(at)):
		return nil
	}
}
