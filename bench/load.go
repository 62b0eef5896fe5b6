package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// outcome is what load there was, and how long each operation was waited for.
type outcome struct {
	waits []time.Duration // sorted
	took  time.Duration
}

func (o outcome) ops() int64 { return int64(len(o.waits)) }

// within is the wait that a share of the operations did not exceed, in ns.
func (o outcome) within(share float64) float64 {
	if len(o.waits) == 0 {
		return 0
	}
	return float64(o.waits[min(len(o.waits)-1, int(share*float64(len(o.waits))))])
}

// extras are the waits and the rate. A thousandth of a few is nothing.
func (o outcome) extras(op string) map[string]float64 {
	out := map[string]float64{op + "/s": float64(o.ops()) / o.took.Seconds()}
	for unit, share := range map[string]float64{"p50-ns/op": 0.5, "p99-ns/op": 0.99, "p999-ns/op": 0.999} {
		if float64(o.ops())*(1-share) >= 1 {
			out[unit] = o.within(share)
		}
	}
	return out
}

var errNoLoad = errors.New("nothing was done in the time given")

// closedLoop has workers do something again and again for a time: each waits
// for an answer before it asks anew, so a slow server is asked less.
func closedLoop(ctx context.Context, workers int, d time.Duration, do func(worker int) error) (outcome, error) {
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

// openLoop starts operations when their time has come, whatever became of those
// before: a wait begins at the time that was set, so one that began late
// because its worker was waiting still counts in full (coordinated omission).
// Workers have the rate between them, each its own, evenly shifted.
func openLoop(ctx context.Context, workers, rate int, d time.Duration, do func(worker int) error) (outcome, error) {
	began, gap := time.Now(), time.Duration(workers)*time.Second/time.Duration(rate)
	return drive(ctx, workers, func(worker int, wait func(time.Duration)) error {
		at := began.Add(gap * time.Duration(worker) / time.Duration(workers))
		for ; at.Sub(began) < d; at = at.Add(gap) {
			if err := pause(ctx, time.Until(at)); err != nil {
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

func drive(ctx context.Context, workers int, work func(worker int, wait func(time.Duration)) error) (o outcome, err error) {
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
		return outcome{}, err
	}
	if len(o.waits) == 0 {
		return outcome{}, errNoLoad
	}
	slices.Sort(o.waits)
	o.took = time.Since(began)
	return o, nil
}
