package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"trunkline/bench/load"
	"trunkline/internal/id"
)

// The gate fails a build that made the relay do more for the same: allocate,
// call the kernel, hold goroutines and bytes. It counts and takes no times, so
// it may run on a machine that is busy.
const (
	gateTunnels  = 60
	gateWarm     = 256 // requests before those that are counted
	gateRequests = 4096
	gateBytes    = 64 << 20
	gateTries    = 3 // of a probe that seems worse, whose best counts; of all for a baseline, whose medians count
)

// probe takes some counts of one kind of work.
type probe struct {
	name string
	take func(ctx context.Context, g *gateWorld) ([]entry, error)
}

// gateWorld is what probes work on.
type gateWorld struct {
	*world
	relay  *child
	device id.Device // with a portal behind it
	idle   counts    // what reading counts itself counts
	empty  counts    // before there was any idle tunnel
	fleet  fleet     // for idle tunnels
}

func probes() []probe {
	out := []probe{{"IdleTunnel", countIdle}}
	for _, edge := range []string{edgeHTTP, edgeHTTPS} {
		out = append(out, countRequests(edge, 1), countRequests(edge, 64), countDownload(edge), countUpload(edge))
	}
	return out
}

// gate takes all counts and compares them with the baseline file, or writes it.
func gate(ctx context.Context, o options, file string, update bool) error {
	o.tunnels = []int{gateTunnels}
	var baseline []entry
	if !update {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if baseline, err = parseBaseline(b); err != nil {
			return err
		}
	}
	var now []entry
	err := inFamily(o, func(o options, fam *family) (err error) {
		now, err = takeCounts(ctx, o, fam, baseline)
		return err
	})
	if err != nil {
		return err
	}
	if update {
		b, err := writeBaseline(now)
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

func takeCounts(ctx context.Context, o options, fam *family, baseline []entry) ([]entry, error) {
	w, err := newWorld(ctx, o, fam)
	if err != nil {
		return nil, err
	}
	g := &gateWorld{world: w}
	if g.relay, err = w.startRelay(ctx, cpuRelay); err != nil {
		return nil, err
	}
	if err := g.startDevice(ctx); err != nil {
		return nil, err
	}
	if g.idle, err = g.during(ctx, func() error { return nil }); err != nil {
		return nil, err
	}
	var now []entry
	for _, p := range probes() {
		o.say("counting %s", p.name)
		got, err := p.repeat(ctx, g, baseline)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p.name, err), g.relay.alive())
		}
		now = append(now, got...)
	}
	return now, nil
}

// repeat takes a probe until it is not worse than the baseline, or enough.
func (p probe) repeat(ctx context.Context, g *gateWorld, baseline []entry) ([]entry, error) {
	var tries [][]entry
	for range gateTries {
		got, err := p.take(ctx, g)
		if err != nil {
			return nil, err
		}
		tries = append(tries, got)
		if baseline != nil && worse(joined(tries, lowest), baseline) == nil {
			break
		}
	}
	if baseline == nil {
		return joined(tries, median), nil
	}
	return joined(tries, lowest), nil
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
	if err := work(); err != nil {
		return counts{}, err
	}
	after, err := g.relayCounts(ctx, g.relay)
	return after.less(before).less(g.idle), err
}

func countRequests(edge string, conns int) probe {
	name := fmt.Sprintf("Request/size=1KiB/conns=%d/edge=%s", conns, edge)
	return probe{name, func(ctx context.Context, g *gateWorld) ([]entry, error) {
		wires, err := g.dialSite(ctx, edge, conns)
		if err != nil {
			return nil, err
		}
		defer load.HangUp(wires)
		if err := load.GetMany(wires, gateWarm, "/1kb", 1<<10); err != nil {
			return nil, err
		}
		c, err := g.during(ctx, func() error { return load.GetMany(wires, gateRequests, "/1kb", 1<<10) })
		return []entry{
			count(name, "allocs/op", c.mallocs, gateRequests),
			count(name, "writes/op", c.writes, gateRequests),
			count(name, "reads/op", c.reads, gateRequests),
		}, err
	}}
}

func countDownload(edge string) probe {
	return countTransfer("Transfer/way=down/edge="+edge, edge, func(w *load.Wire) error {
		return w.Get(fmt.Sprintf("/bytes?n=%d", gateBytes), gateBytes)
	})
}

func countUpload(edge string) probe {
	return countTransfer("Transfer/way=up/edge="+edge, edge, func(w *load.Wire) error {
		if err := w.Send("POST", "/upload", gateBytes, &load.Body{Left: gateBytes}, "Content-Type: application/octet-stream"); err != nil {
			return err
		}
		return w.Success("POST /upload", int64(len(strconv.Itoa(gateBytes)))) // the portal says how many came
	})
}

func countTransfer(name, edge string, move func(*load.Wire) error) probe {
	return probe{name, func(ctx context.Context, g *gateWorld) ([]entry, error) {
		wires, err := g.dialSite(ctx, edge, 1)
		if err != nil {
			return nil, err
		}
		defer load.HangUp(wires)
		if err := wires[0].Get("/1kb", 1<<10); err != nil { // handshake and first stream are not the transfer's
			return nil, err
		}
		c, err := g.during(ctx, func() error { return move(wires[0]) })
		return []entry{
			count(name, "writes/MiB", c.writes, gateBytes>>20),
			count(name, "reads/MiB", c.reads, gateBytes>>20),
		}, err
	}}
}

func (g *gateWorld) dialSite(ctx context.Context, edge string, conns int) ([]*load.Wire, error) {
	e, err := g.endpoint(ctx, g.device, edge)
	if err != nil {
		return nil, err
	}
	return load.DialMany(ctx, e, g.conf, conns)
}

// countIdle is the relay with tunnels less the relay without.
func countIdle(ctx context.Context, g *gateWorld) ([]entry, error) {
	const name = "IdleTunnel/state=fresh"
	var err error
	if g.fleet.size() == 0 {
		if g.fleet, err = g.activate(ctx, gateTunnels); err != nil {
			return nil, err
		}
		if g.empty, err = g.quiet(ctx); err != nil {
			return nil, err
		}
	}
	h, err := g.hold(ctx, g.fleet)
	if err != nil {
		return nil, err
	}
	full, err := g.quiet(ctx)
	if err != nil {
		return nil, err
	}
	h.stop()
	_, err = g.quiet(ctx)
	c := full.less(g.empty)
	return []entry{
		count(name, "goroutines/tunnel", c.goroutines, gateTunnels),
		count(name, "heap-B/tunnel", c.heap, gateTunnels),
		count(name, "stack-B/tunnel", c.stack, gateTunnels),
	}, err
}

// quiet counts when the relay has as many goroutines as it had a moment ago,
// some times in a row.
func (g *gateWorld) quiet(ctx context.Context) (c counts, err error) {
	last := -1.0
	for same := 0; same < 4; same++ {
		if c, err = g.relayCounts(ctx, g.relay); err != nil {
			return c, err
		}
		if c.goroutines != last {
			last, same = c.goroutines, 0
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return c, err
		}
	}
	return c, nil
}

func count(name, unit string, total, n float64) entry {
	return entry{Name: name, Unit: unit, Value: math.Round(100*total/n) / 100}
}
