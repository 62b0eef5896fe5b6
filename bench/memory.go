package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// trafficSize goes through every tunnel each way before it is idle again:
	// more than yamux's first window, so that buffers have grown as they will.
	trafficSize = 320 << 10
	steadyFor   = 5 // readings in a row that differ by less than a hundredth
	steadyTime  = time.Minute

	stateFresh, stateUsed = "fresh", "used"

	manyTunnels = 1000 // that what the relay needs anyhow is little beside
	spareFiles  = 500  // of a process that has many tunnels
)

func memoryFigures(o options) []*figure {
	var out []*figure
	for _, n := range o.tunnels {
		for _, state := range []string{stateFresh, stateUsed} {
			f := &figure{
				name:  fmt.Sprintf("IdleTunnel/tunnels=%d/state=%s", n, state),
				title: fmt.Sprintf("RSS per idle tunnel of %d, %s", n, state),
				unit:  "rss-B/tunnel",
				show:  func(v float64) string { return fmt.Sprintf("%.1f KiB", v/1024) },
			}
			if n >= manyTunnels {
				f.goal = 10 << 10
			}
			out = append(out, f)
		}
	}
	return out
}

// measureMemory is about relays of its own: what a relay once needed for
// requests is not the tunnels'. The two figures of a number of tunnels are steps
// of one story, so either brings the other.
func measureMemory(ctx context.Context, w *world, r *report) error {
	var steps [][]*figure
	var most []int
	for i, pair := range slices.Collect(slices.Chunk(memoryFigures(w.o), 2)) {
		if len(r.chosen(pair)) == 0 {
			continue
		}
		if err := mayOpen(w.o.tunnels[i] + spareFiles); err != nil {
			r.missing(pair[0].name, err)
			continue
		}
		r.figures = append(r.figures, pair...)
		steps, most = append(steps, pair), append(most, w.o.tunnels[i])
	}
	if steps == nil {
		return nil
	}
	fleet, err := w.activate(ctx, slices.Max(most))
	if err != nil {
		return err
	}
	for i, pair := range steps {
		if err := w.idleTunnels(ctx, fleet.first(most[i]), pair[0], pair[1]); err != nil {
			return fmt.Errorf("%d tunnels: %w", most[i], err)
		}
	}
	return nil
}

func (w *world) idleTunnels(ctx context.Context, f fleet, fresh, used *figure) error {
	relay, err := w.startRelay(ctx, memoryRelay(f.size()), w.first)
	if err != nil {
		return err
	}
	defer relay.stop() // the next one takes its ports
	empty, err := w.resident(ctx, relay)
	if err != nil {
		return err
	}
	holders, err := w.hold(ctx, f)
	if err != nil {
		return err
	}
	defer holders.stop()
	n := float64(f.size())
	step := func(fig *figure) error {
		full, err := w.resident(ctx, relay)
		if err := errors.Join(err, holders.alive()); err != nil {
			return err
		}
		extra := map[string]float64{"rss-before-gc-B/tunnel": float64(full.asItWas-empty.settled) / n}
		if f.size() >= manyTunnels {
			extra["idle-cpu-ns/tunnel-s"] = (full.load - empty.load) / n
		}
		fig.add(viaRelay, sample{int64(f.size()), float64(full.settled-empty.settled) / n, extra})
		return nil
	}
	w.o.say("%d tunnels are up", f.size())
	if err := step(fresh); err != nil {
		return err
	}
	if err := w.useTunnels(ctx, f.devices); err != nil {
		return err
	}
	w.o.say("each has carried %d KiB each way", trafficSize>>10)
	return step(used)
}

// reading is a process's resident memory: as it was, and after the collector
// has run and the pages it gave back are gone. Load is its CPU time meanwhile,
// in ns a second.
type reading struct {
	asItWas, settled int64
	load             float64
}

// resident waits until the tunnels are idle and every one was pinged, and reads.
// Without the forced collection the figure would depend on when in the
// collector's cycle it is taken.
func (w *world) resident(ctx context.Context, relay *child) (m reading, err error) {
	pid := relay.cmd.Process.Pid
	before, err := cpuTime(pid)
	if err != nil {
		return m, err
	}
	if err := pause(ctx, w.o.settle); err != nil {
		return m, err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return m, err
	}
	m.load = float64((after - before).Nanoseconds()) / w.o.settle.Seconds()
	if m.asItWas, err = rss(pid); err != nil {
		return m, err
	}
	for range 3 { // pools take two collections to let go
		if err := adminGet(ctx, w.first.admin, "/debug/pprof/heap?gc=1"); err != nil {
			return m, fmt.Errorf("force a collection: %w", err)
		}
	}
	deadline := time.Now().Add(steadyTime)
	for low, steady := int64(0), 0; steady < steadyFor && time.Now().Before(deadline); {
		if err := pause(ctx, w.o.settle/35); err != nil {
			return m, err
		}
		if m.settled, err = rss(pid); err != nil {
			return m, err
		}
		steady++
		if m.settled < low-low/100 || m.settled > low+low/100 {
			low, steady = m.settled, 0
		}
	}
	return m, nil
}
