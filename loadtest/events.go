package loadtest

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/loadtest/clock"
	"trunkline/loadtest/fleet"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
)

// events are what was done, and what happened.
type events struct {
	mu   sync.Mutex
	list []result.Event
}

func (e *events) add(began time.Time, disturbs bool, format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, result.Event{At: time.Since(began).Seconds(), Text: fmt.Sprintf(format, args...), Disturbs: disturbs})
}

func (e *events) all() []result.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]result.Event(nil), e.list...)
}

// each calls do for every event when it is due, until ctx ends, and waits for
// all of them.
func each(ctx context.Context, began time.Time, list []scenario.Event, do func(scenario.Event)) {
	var wg sync.WaitGroup
	for _, e := range list {
		wg.Go(func() {
			if clock.Until(ctx, began.Add(e.At)) {
				do(e)
			}
		})
	}
	wg.Wait()
}

// disturb does to the PBXs what the scenario has.
func (g *Generator) disturb(ctx context.Context, began time.Time) {
	part := func(share float64) []*fleet.PBX { return dealt(g.fleet.PBXs(), share) }
	each(ctx, began, g.s.Events, func(e scenario.Event) {
		switch {
		case e.Drop > 0:
			hit := part(e.Drop)
			g.events.add(began, true, "%d tunnels are cut off", len(hit))
			for _, p := range hit {
				p.Drop()
			}
		case e.Vanish > 0:
			hit := part(e.Vanish)
			g.events.add(began, true, "%d PBXs fall silent", len(hit))
			for _, p := range hit {
				p.Vanish(true)
			}
			clock.Sleep(ctx, e.For)
			for _, p := range hit {
				p.Vanish(false)
			}
			g.events.add(began, false, "they speak again")
		case e.Swap > 0:
			g.swap(began, e.Swap)
		}
	})
}

// dealt is a share of the PBXs, from all over them: as many of those that are
// visited as of the others. By the golden ratio's multiples, which lie evenly.
func dealt(all []*fleet.PBX, share float64) []*fleet.PBX {
	var out []*fleet.PBX
	for i, p := range all {
		if _, at := math.Modf(float64(i) * math.Phi); at < share {
			out = append(out, p)
		}
	}
	return out
}

// swap swaps the roles of a share of the pairs.
func (g *Generator) swap(began time.Time, share float64) {
	n := int(share*float64(g.s.Pairs) + 0.5)
	g.events.add(began, false, "%d pairs swap roles", n)
	for _, p := range g.fleet.PBXs()[:2*n] {
		if p.Standby() {
			continue
		}
		if err := p.Swap(); err != nil {
			g.log.Error("swap roles", zap.Error(err))
		}
	}
}
