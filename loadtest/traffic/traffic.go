// Package traffic is the staff who visit the simulated PBXs. Each kind of
// traffic is an open loop: arrivals are scheduled beforehand, at random as
// independent people's are, and what is due is sent when it is due, however
// long the earlier takes. A latency counts from when it was due, so that a stall
// shows at full length (no coordinated omission: Gil Tene, "How NOT to Measure
// Latency", 2015).
package traffic

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/visitor"
	"trunkline/loadtest/clock"
	"trunkline/loadtest/scenario"
)

// maxInFlight bounds the operations of one stream of traffic that wait for their
// end. What is due beyond it is not sent, and is an error.
const maxInFlight = 20_000

// codeUnsent is the error of what was due and not sent.
const codeUnsent = "unsent"

// Site is a PBX, or a pair, that somebody visits.
type Site struct {
	*visitor.Visitor
	Content uint32 // the number in all its bytes
}

// Load is all traffic of one generator.
type Load struct {
	Sites   []Site
	Timeout time.Duration // of one operation
	Meter   *Meter
	Log     *zap.Logger
	// Activate brings up one PBX more, with its tunnel.
	Activate func(context.Context) error

	objects atomic.Uint32
}

// object is a number that no other transfer of this run has.
func (l *Load) object() uint32 { return l.objects.Add(1) }

// Run makes the load from now until end, or until ctx ends. Operations under way
// then get the time that any has, but for those whose life is bounded by hard.
func (l *Load) Run(ctx, hard context.Context, streams []scenario.Traffic, end time.Time) {
	var wg sync.WaitGroup
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for i, t := range streams {
		wg.Go(func() {
			if t.Kind == scenario.WebSocket {
				l.sockets(ctx, t)
			} else {
				l.arrivals(ctx, hard, t, uint64(i))
			}
		})
	}
	wg.Wait()
}

// operation is one of a kind, on one site. It returns what became of its bytes,
// and why it failed if it did.
type operation func(context.Context, Site) (outcome, failure)

func (l *Load) operation(t scenario.Traffic) operation {
	switch t.Kind {
	case scenario.Page:
		return l.page(t)
	case scenario.Download:
		return l.download(t)
	case scenario.Upload:
		return l.upload(t)
	case scenario.Slow:
		return l.slow(t)
	case scenario.Activate:
		return l.activate
	}
	panic("BUG: no such traffic: " + t.Kind)
}

// arrivals sends what is due. The times between two arrivals are exponentially
// distributed: a Poisson process.
func (l *Load) arrivals(ctx, hard context.Context, t scenario.Traffic, seed uint64) {
	do, kind := l.operation(t), l.Meter.kind(t.Kind)
	dice := rand.New(rand.NewPCG(seed, uint64(time.Now().UnixNano())))
	slots := make(chan struct{}, maxInFlight)
	var wg sync.WaitGroup
	defer wg.Wait()
	for due := time.Now(); ; {
		due = due.Add(time.Duration(dice.ExpFloat64() / t.Rate * float64(time.Second)))
		if !clock.Until(ctx, due) {
			return
		}
		site := l.Sites[dice.IntN(len(l.Sites))]
		select {
		case slots <- struct{}{}:
		default:
			kind.failed(due, site, failure{code: codeUnsent})
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			kind.measure(hard, l.patience(t), due, site, do)
		})
	}
}

// patience is how long an operation may take.
func (l *Load) patience(t scenario.Traffic) time.Duration {
	if t.Kind == scenario.Slow {
		return l.Timeout + 2*time.Duration(float64(t.Size)/float64(t.ReadRate)*float64(time.Second))
	}
	return l.Timeout
}
