package loadtest

import (
	"context"
	"time"

	"trunkline/loadtest/result"
)

// Live is how a run stands.
type Live struct {
	Elapsed time.Duration // since began; negative in the warm-up
	Running bool          // false: the PBXs come up
	Known   int           // PBXs that are activated
	Up      int           // tunnels
	Devices int           // PBXs that there will be
	Kinds   map[string]result.Tally
	// InFlight are requests that have no answer yet, by kind.
	InFlight map[string]int64
	Relays   []result.Process
	Lost     []string // generators of which nothing is heard any more
}

const showEvery = time.Second

// show tells how the run stands, each second until ctx ends.
func (r *run) show(ctx context.Context, live func() Live) {
	if r.o.Live == nil {
		return
	}
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l := live()
			l.Devices = r.o.Scenario.Devices
			r.o.Live(l)
		case <-ctx.Done():
			return
		}
	}
}

// Live is how one generator's part stands; began is zero while it comes up.
func (g *Generator) Live(began time.Time) Live {
	l := Live{Running: !began.IsZero()}
	l.Up, l.Known = g.Up()
	if l.Running {
		l.Elapsed = time.Since(began)
	}
	if m := g.meter.Load(); m != nil {
		l.Kinds, l.InFlight = make(map[string]result.Tally), make(map[string]int64)
		for _, t := range g.s.Traffic {
			k := m.recorder.Kind(t.Kind)
			l.Kinds[t.Kind], l.InFlight[t.Kind] = k.Total(), k.InFlight()
		}
	}
	return l
}
