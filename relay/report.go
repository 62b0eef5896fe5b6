package relay

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
)

// maxReports bounds what waits for control to come back. Beyond it the oldest
// is dropped: the log has every visit too.
const maxReports = 10_000

// reporter tells control of visits, and keeps trying while control is away.
type reporter struct {
	bus   *bus.Bus
	queue chan bus.VisitEvent
	log   *zap.Logger
}

func newReporter(b *bus.Bus, log *zap.Logger) *reporter {
	return &reporter{bus: b, queue: make(chan bus.VisitEvent, maxReports), log: log}
}

// Add never blocks.
func (r *reporter) Add(e bus.VisitEvent) {
	for {
		select {
		case r.queue <- e:
			return
		default:
		}
		select {
		case old := <-r.queue:
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
			for r.send(ctx, e) != nil && ctx.Err() == nil {
				select {
				case <-time.After(500*time.Millisecond + rand.N(2*time.Second)):
				case <-ctx.Done():
				}
			}
		case <-ctx.Done():
			r.flush(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (r *reporter) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		select {
		case e := <-r.queue:
			if r.send(ctx, e) != nil {
				return
			}
		default:
			return
		}
	}
}

func (r *reporter) send(ctx context.Context, e bus.VisitEvent) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := bus.Call[bus.VisitEvent, struct{}](ctx, r.bus, bus.SubjectVisitEvent, e)
	return err
}
