package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// The gate fails a build that made the relay do more for the same: allocate,
// call the kernel, hold goroutines and bytes. It counts and takes no times, so
// it may run on a machine that is busy.
const (
	gateTunnels  = 200
	gateWarm     = 256 // requests before those that are counted
	gateRequests = 4096
	gateEchoes   = 2048
	gateBytes    = 64 << 20
	gateTries    = 3 // of a probe that seems worse, whose best counts; of all for a baseline, whose medians count
)

// gate takes all counts and compares them with the baseline file, or writes it.
func gate(ctx context.Context, o options, file string, update bool) error {
	o.tunnels = []int{gateTunnels}
	b, err := os.ReadFile(file)
	if err != nil && !(update && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	var baseline []entry
	if err == nil {
		if baseline, err = parseBaseline(b); err != nil {
			return err
		}
	}
	var now []entry
	err = inFamily(o, func(o options, fam *family) (err error) {
		now, err = takeCounts(ctx, o, fam, baseline, update)
		return err
	})
	if err != nil {
		return err
	}
	if update {
		b, err := writeBaseline(renewed(baseline, now))
		if err != nil {
			return err
		}
		return os.WriteFile(file, b, 0o644)
	}
	verdict(o.out, now, baseline)
	if bad := worse(now, baseline); bad != nil {
		return fmt.Errorf("%d counts are worse than %s; make them good, or record them with: make bench-gate-update", len(bad), file)
	}
	if lost := unmeasured(now, baseline); lost != nil {
		return fmt.Errorf("%s has %d counts that nothing takes, %s first; record with: make bench-gate-update", file, len(lost), lost[0].Name)
	}
	return nil
}

func takeCounts(ctx context.Context, o options, fam *family, baseline []entry, update bool) ([]entry, error) {
	g, err := newGateWorld(ctx, o, fam)
	if err != nil {
		return nil, err
	}
	var now []entry
	for _, p := range probes() {
		o.say("counting %s", p.name)
		got, err := p.repeat(ctx, g, baseline, update)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p.name, err), g.relay.alive())
		}
		now = append(now, got...)
	}
	return now, nil
}

// repeat takes a probe until it is not worse than the baseline, or enough times.
func (p probe) repeat(ctx context.Context, g *gateWorld, baseline []entry, update bool) ([]entry, error) {
	var tries [][]entry
	for range gateTries {
		got, err := p.take(ctx, g)
		if err != nil {
			return nil, err
		}
		tries = append(tries, gated(got))
		if !update && worse(joined(tries, lowest), baseline) == nil {
			break
		}
	}
	if update {
		return joined(tries, median), nil
	}
	return joined(tries, lowest), nil
}

// newGateWorld starts a relay and a device behind it.
func newGateWorld(ctx context.Context, o options, fam *family) (*gateWorld, error) {
	w, err := newWorld(ctx, o, fam)
	if err != nil {
		return nil, err
	}
	g := &gateWorld{world: w}
	if g.relay, err = w.startRelay(ctx, cpuRelay, w.first); err != nil {
		return nil, err
	}
	if err := g.startDevice(ctx); err != nil {
		return nil, err
	}
	g.idle, err = g.during(ctx, func() error { return nil })
	return g, err
}

// startDevice puts the real agent and a portal behind the relay.
func (g *gateWorld) startDevice(ctx context.Context) error {
	cert, key, err := leafPEM(g.world, zone)
	if err != nil {
		return err
	}
	var portal portalReady
	if _, err := g.fam.rexec(ctx, g.o, "portal", portalOrder{cert, key}, &portal); err != nil {
		return err
	}
	g.device, err = g.startAgent(ctx, "http://"+portal.Plain)
	return err
}

// during is what the relay counts while work is done, and no more.
func (g *gateWorld) during(ctx context.Context, work func() error) (counts, error) {
	before, err := g.relayCounts(ctx, g.relay)
	if err != nil {
		return counts{}, err
	}
	if g.spent, err = timed(g.relay.cmd.Process.Pid, work); err != nil {
		return counts{}, err
	}
	after, err := g.relayCounts(ctx, g.relay)
	return after.less(before).less(g.idle), err
}
