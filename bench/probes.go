package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"trunkline/bench/load"
	"trunkline/internal/id"
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
	empty  counts    // before the idle tunnels that are counted
	fleet  fleet     // for idle tunnels
	spent  spent     // on the last work
}

func probes() []probe {
	out := []probe{{"IdleTunnel", countIdle}}
	for _, edge := range []string{edgeHTTP, edgeHTTPS} {
		out = append(out, countRequests(edge, 1), countRequests(edge, 64), countEchoes(edge), countDownload(edge), countUpload(edge))
	}
	return out
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
		return perOp(name, c, gateRequests), err
	}}
}

func countEchoes(edge string) probe {
	name := fmt.Sprintf("WebSocket/size=%dB/conns=1/edge=%s", echoSize, edge)
	return probe{name, func(ctx context.Context, g *gateWorld) ([]entry, error) {
		wires, err := g.dialSite(ctx, edge, 1)
		if err != nil {
			return nil, err
		}
		defer load.HangUp(wires)
		if err := wires[0].Upgrade("/ws"); err != nil {
			return nil, err
		}
		message := make([]byte, echoSize)
		c, err := g.during(ctx, func() error {
			for range gateEchoes {
				if err := wires[0].Echo(message); err != nil {
					return err
				}
			}
			return nil
		})
		return perOp(name, c, gateEchoes), err
	}}
}

func perOp(name string, c counts, n float64) []entry {
	return []entry{
		count(name, "allocs/op", c.mallocs, n),
		count(name, "writes/op", c.writes, n),
		count(name, "reads/op", c.reads, n),
	}
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
			count(name, "allocs/MiB", c.mallocs, gateBytes>>20),
			count(name, "writes/MiB", c.writes, gateBytes>>20),
			count(name, "reads/MiB", c.reads, gateBytes>>20),
		}, err
	}}
}

func (g *gateWorld) dialSite(ctx context.Context, edge string, conns int) ([]*load.Wire, error) {
	e, err := g.endpoint(ctx, g.device, g.first, edge)
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
	c := full.less(g.empty)
	g.empty, err = g.quiet(ctx) // what tunnels that have ended leave is not the next ones'
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
