package relay

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// maxReports bounds what waits for control to come back. Beyond it the oldest
// is dropped: the log has every visit too.
const maxReports = 10_000

// reporter tells control of visits, and keeps trying while control is away.
type reporter struct {
	call  func(context.Context, bus.VisitEvent) error
	queue chan bus.VisitEvent
	lost  atomic.Int64 // dropped from the queue
	log   *zap.Logger
}

func newReporter(b *bus.Bus, as id.Relay, log *zap.Logger) *reporter {
	call := func(ctx context.Context, e bus.VisitEvent) error { return reportVisit(ctx, b, as, e) }
	return &reporter{call: call, queue: make(chan bus.VisitEvent, maxReports), log: log}
}

// reportVisit reports in this relay's name, which no other can. A control of the
// version before does not hear that, but only what any relay may say in any name:
// until there is none of them, one release. A report may come twice.
func reportVisit(ctx context.Context, b *bus.Bus, as id.Relay, e bus.VisitEvent) error {
	_, err := bus.CallAs[bus.VisitEvent, struct{}](ctx, b, as, bus.SubjectVisitEvent, e)
	if errors.Is(err, bus.ErrNobody) {
		_, err = bus.Call[bus.VisitEvent, struct{}](ctx, b, bus.SubjectVisitEvent, e)
	}
	return err
}

// Add never blocks. What was only counted takes no room of what happened.
func (r *reporter) Add(e bus.VisitEvent) {
	if e.Kind == "traffic" && len(r.queue) >= maxReports/2 {
		r.lost.Add(1)
		return
	}
	for {
		select {
		case r.queue <- e:
			return
		default:
		}
		select {
		case old := <-r.queue:
			r.lost.Add(1)
			r.log.Warn("report dropped", zap.String("visit", string(old.Visit)), zap.String("kind", old.Kind))
		default:
		}
	}
}

// Run sends in order until ctx ends; what is queued by then gets a last try.
func (r *reporter) Run(ctx context.Context) error {
	for {
		select {
		case e := <-r.queue:
			for r.send(ctx, e) != nil {
				select {
				case <-time.After(500*time.Millisecond + rand.N(2*time.Second)):
					continue
				case <-ctx.Done():
				}
				r.flush(context.WithoutCancel(ctx), e)
				return nil
			}
		case <-ctx.Done():
			r.flush(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (r *reporter) flush(ctx context.Context, first ...bus.VisitEvent) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, e := range first {
		if r.send(ctx, e) != nil {
			r.leave(1)
			return
		}
	}
	for {
		select {
		case e := <-r.queue:
			if r.send(ctx, e) != nil {
				r.leave(1)
				return
			}
		default:
			return
		}
	}
}

// leave notes what is given up at the end: the queue, and as many that were taken from it.
func (r *reporter) leave(taken int) {
	n := taken + len(r.queue)
	r.lost.Add(int64(n))
	r.log.Warn("reports dropped at the end", zap.Int("reports", n))
}

// settle waits until the queue is empty, or ctx ends.
func (r *reporter) settle(ctx context.Context) {
	for len(r.queue) > 0 && ctx.Err() == nil {
		pause(ctx, 10*time.Millisecond)
	}
}

// send errs if it is worth another try. What control refuses (it may have lost
// the visit with an old database) it refuses for ever, and the reports behind
// must not wait for that.
func (r *reporter) send(ctx context.Context, e bus.VisitEvent) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := r.call(ctx, e)
	switch fault.CodeOf(err) {
	case fault.NotFound, fault.Invalid:
		r.log.Warn("report refused", zap.String("visit", string(e.Visit)), zap.String("kind", e.Kind), zap.Error(err))
		return nil
	}
	return err
}
