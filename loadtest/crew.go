package loadtest

import (
	"context"
	"errors"
	"time"

	"trunkline/loadtest/result"
)

// crew has generators in other processes make the load.
func (r *run) crew(ctx context.Context) (*result.Result, error) {
	crew, s := r.o.Crew, r.o.Scenario
	if err := crew.Gather(ctx, Order{Scenario: s, Text: r.o.Text, Target: r.target}); err != nil {
		return nil, err
	}
	began := time.Now().Add(s.Warmup).Truncate(time.Millisecond)
	if err := crew.Start(ctx, began); err != nil {
		return nil, err
	}
	var err error
	r.beside(ctx, began, crew.Seen, func() { err = crew.Watch(ctx) })
	res := newResult(s.Name, r.o.Text, began, s.Warmup, s.Duration)
	for _, part := range crew.Results() {
		// What another process says is taken apart from when it says it began:
		// clocks differ, and it was told when.
		part.Began, part.Ended = began, began.Add(part.Ended.Sub(part.Began))
		err = errors.Join(err, res.Merge(part))
	}
	return r.finish(ctx, res), errors.Join(err, r.failed)
}
