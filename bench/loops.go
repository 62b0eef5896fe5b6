package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"trunkline/bench/load"
)

// Figures of load that bench makes itself.

const (
	echoConns, echoSize  = 64, 128
	pagePeople           = 4
	steadyConns          = 64
	steadyRate           = 2000 // a second: well below what any of them can do
	streamsSize, streams = 256 << 20, 4
)

// runFor makes load for about d.
type runFor func(d time.Duration) (load.Outcome, error)

// loop is a figure whose load is made by what prepare returns; done ends it.
func loop(name, title, op string, needs []string, prepare func(ctx context.Context, e load.Endpoint, w *world) (run runFor, done func(), err error), edge string) *figure {
	f := &figure{name: name, title: title, unit: "cpu-ns/" + op, needs: append(needs, edge), show: micros}
	f.measure = func(ctx context.Context, w *world, p proxy, warm bool) (sample, error) {
		e, err := p.endpoint(ctx, edge)
		if err != nil {
			return sample{}, err
		}
		run, done, err := prepare(ctx, e, w)
		if err != nil {
			return sample{}, err
		}
		defer done()
		d := time.Duration(w.o.seconds) * time.Second
		switch {
		case w.o.quick:
			d = 300 * time.Millisecond
		case warm:
			d = time.Second
		}
		var o load.Outcome
		used, err := p.cpu(func() error {
			o, err = run(d)
			return err
		})
		if err != nil {
			return sample{}, err
		}
		return sample{o.Ops(), float64(used.Nanoseconds()) / float64(o.Ops()), o.Extras(op)}, nil
	}
	return f
}

// echoes are WebSockets that each send a message, wait for it to come back,
// and send the next.
func echoes(edge string) *figure {
	return loop(
		fmt.Sprintf("WebSocket/size=%dB/conns=%d/edge=%s", echoSize, echoConns, edge),
		fmt.Sprintf("CPU per WebSocket echo, %d B, %d conn., %s", echoSize, echoConns, edge),
		"echo", nil,
		func(ctx context.Context, e load.Endpoint, w *world) (runFor, func(), error) {
			wires, err := load.DialMany(ctx, e, w.conf, echoConns)
			if err != nil {
				return nil, nil, err
			}
			for _, w := range wires {
				if err := w.Upgrade("/ws"); err != nil {
					load.HangUp(wires)
					return nil, nil, err
				}
			}
			message := bytes.Repeat([]byte("m"), echoSize)
			return func(d time.Duration) (load.Outcome, error) {
				return load.Closed(ctx, echoConns, d, func(i int) error { return wires[i].Echo(message) })
			}, func() { load.HangUp(wires) }, nil
		}, edge)
}

// pages are opened by a few people at once, each on connections of its own.
func pages(edge, proto string) *figure {
	open, needs := load.OpenPage, []string(nil)
	if proto == "h2" {
		open, needs = load.OpenPageH2, []string{needH2}
	}
	return loop(
		fmt.Sprintf("Page/assets=%d/proto=%s/edge=%s", load.PageAssets, proto, edge),
		fmt.Sprintf("CPU per page of %d assets, %s, %s", load.PageAssets, proto, edge),
		"page", needs,
		func(ctx context.Context, e load.Endpoint, w *world) (runFor, func(), error) {
			return func(d time.Duration) (load.Outcome, error) {
				return load.Closed(ctx, pagePeople, d, func(int) error { return open(ctx, e, w.conf) })
			}, func() {}, nil
		}, edge)
}

// steady is requests at a rate, whatever the answers do.
func steady(edge string) *figure {
	return loop(
		fmt.Sprintf("OpenLoop/size=1KiB/rate=%d/conns=%d/edge=%s", steadyRate, steadyConns, edge),
		fmt.Sprintf("CPU per request, 1 KiB, %d/s on %d conn., %s", steadyRate, steadyConns, edge),
		"req", nil,
		func(ctx context.Context, e load.Endpoint, w *world) (runFor, func(), error) {
			wires, err := load.DialMany(ctx, e, w.conf, steadyConns)
			if err != nil {
				return nil, nil, err
			}
			return func(d time.Duration) (load.Outcome, error) {
				return load.Open(ctx, steadyConns, steadyRate, d, func(i int) error { return wires[i].Get("/1kb", 1<<10) })
			}, func() { load.HangUp(wires) }, nil
		}, edge)
}
