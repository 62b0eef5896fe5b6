package loadtest

import (
	"context"
	"errors"
	"sync"
	"time"

	"trunkline/loadtest/result"
)

// startTime is what generators have to learn in that they are to begin.
const startTime = time.Second

// crew has generators in other processes make the load.
func (r *run) crew(ctx context.Context, tag string) (*result.Result, error) {
	crew, s := r.o.Crew, r.o.Scenario
	if err := r.gather(ctx, Order{Scenario: s, Text: r.o.Text, Tag: tag, Target: r.target}); err != nil {
		return nil, err
	}
	began := time.Now().Add(startTime + s.Warmup)
	crew.Start(began)
	r.beside(ctx, began, crew.Seen, func() { crew.Watch(ctx) })
	res := NewResult(s, r.o.Text, began)
	var err error
	for _, part := range crew.Results() {
		// Clocks differ: they were told when to begin, and say how long they went.
		part.Began, part.Ended = began, began.Add(part.Ended.Sub(part.Began))
		err = errors.Join(err, res.Merge(part))
	}
	return r.finish(ctx, res), err
}

func (r *run) gather(ctx context.Context, o Order) error {
	done, stop := context.WithCancel(ctx)
	var showing sync.WaitGroup
	defer showing.Wait()
	defer stop()
	showing.Go(func() { r.show(done, r.o.Crew.Seen) })
	return r.o.Crew.Gather(ctx, o)
}
