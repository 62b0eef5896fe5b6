package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// The two ways into a proxy.
const (
	edgeHTTP  = "http"
	edgeHTTPS = "https"
)

// What not every proxy has.
const needH2 = "h2"

// sample is one measurement of a figure.
type sample struct {
	ops   int64              // that the value is a mean of
	value float64            // in the figure's unit
	extra map[string]float64 // by unit, for the curious
}

// figure is one thing that is measured, and its samples.
type figure struct {
	name  string  // as in Go's benchmark format, without the prefix and without what was measured
	title string  // for people
	unit  string  // of its samples
	goal  float64 // at most: of the ratio to nginx, or of the value where there is no nginx; 0: none
	show  func(float64) string
	needs []string
	mib   func(options) float64 // that a measurement moves; nil where its work is operations

	measure func(ctx context.Context, w *world, p proxy, warm bool) (sample, error)
	samples map[string][]sample // by what was measured
}

func (f *figure) add(via string, s sample) {
	if f.samples == nil {
		f.samples = make(map[string][]sample)
	}
	f.samples[via] = append(f.samples[via], s)
}

// work is what a measurement did, in what per says.
func (f *figure) work(o options, s sample) float64 {
	if f.mib != nil {
		return f.mib(o)
	}
	return float64(s.ops)
}

func (f *figure) per() string {
	if f.mib != nil {
		return "MiB"
	}
	switch unit := strings.TrimPrefix(f.unit, "cpu-ns/"); unit {
	case "op", "req":
		return "request"
	default:
		return unit
	}
}

// fits is whether f can be measured on p.
func (f *figure) fits(p proxy) bool {
	return !slices.ContainsFunc(f.needs, func(need string) bool { return slices.Contains(p.lacks, need) })
}

// cpuFigures are those of the design's table that nginx has a counterpart to.
// Its goals are for plain HTTP, behind a load balancer that terminates TLS.
func cpuFigures(o options) []*figure {
	var out []*figure
	edges := []string{edgeHTTP, edgeHTTPS}
	if o.peers != nil {
		edges = edges[:1] // see startPeers
	}
	for _, edge := range edges {
		goal := func(g float64) float64 {
			if edge == edgeHTTPS {
				return 0
			}
			return g
		}
		out = append(out,
			requests(edge, 1, 1, goal(1.5)),
			requests(edge, 1, 64, goal(0.8)),
			requests(edge, 64, 64, goal(0.9)),
			transfer(edge, "down", goal(0.9)),
			transfer(edge, "up", goal(0.6)),
			transfers(edge, "down"), transfers(edge, "up"),
			echoes(edge), pages(edge, "http1"), steady(edge),
		)
	}
	if o.peers == nil {
		out = append(out, pages(edgeHTTPS, "h2"))
	}
	return out
}

func requests(edge string, kib, conns int, goal float64) *figure {
	path := fmt.Sprintf("/%dkb", kib)
	f := &figure{
		name:  fmt.Sprintf("Request/size=%dKiB/conns=%d/edge=%s", kib, conns, edge),
		title: fmt.Sprintf("CPU per request, %d KiB, %d conn., %s", kib, conns, edge),
		unit:  "cpu-ns/op", goal: goal,
		show: micros, needs: []string{edge},
	}
	f.measure = func(ctx context.Context, w *world, p proxy, warm bool) (sample, error) {
		e, err := p.endpoint(ctx, edge)
		if err != nil {
			return sample{}, err
		}
		// wrk takes a redirect to the console for a success.
		if err := e.Fetch(ctx, w.conf, path, int64(kib)<<10); err != nil {
			return sample{}, err
		}
		seconds := w.o.seconds
		if warm {
			seconds = 1
		}
		var r wrkResult
		used, err := p.cpu(func() error {
			r, err = runWrk(ctx, w, e, path, conns, seconds)
			return err
		})
		if err != nil {
			return sample{}, err
		}
		return sample{r.Requests, float64(used.Nanoseconds()) / float64(r.Requests), map[string]float64{
			"p50-ns/op": float64(r.P50) * 1e3,
			"req/s":     float64(r.Requests) / (float64(r.Micros) / 1e6),
		}}, nil
	}
	return f
}
