package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// transfer is one large download or upload.
func transfer(edge, way string, goal float64) *figure {
	f := moving(fmt.Sprintf("Transfer/way=%s/edge=%s", way, edge), fmt.Sprintf("CPU per GB %s, %s", way, edge), edge, way, 1,
		func(o options) int64 { return int64(o.megabytes) * 1e6 })
	f.goal = goal
	return f
}

// transfers are some at once, each on a connection of its own.
func transfers(edge, way string) *figure {
	return moving(fmt.Sprintf("Transfer/way=%s/streams=%d/edge=%s", way, streams, edge),
		fmt.Sprintf("CPU per GB %s, %d at once, %s", way, streams, edge), edge, way, streams,
		func(o options) int64 {
			if o.quick {
				return int64(o.megabytes) * 1e6 / streams
			}
			return streamsSize
		})
}

const warmSize = 50e6

func moving(name, title, edge, way string, streams int, size func(options) int64) *figure {
	f := &figure{
		name: name, title: title, unit: "cpu-ns/GB", needs: []string{edge},
		show: func(v float64) string { return fmt.Sprintf("%.2f s", v/1e9) },
		mib:  func(o options) float64 { return float64(streams) * float64(size(o)) / (1 << 20) },
	}
	f.measure = func(ctx context.Context, w *world, p proxy, warm bool) (sample, error) {
		e, err := p.endpoint(ctx, edge)
		if err != nil {
			return sample{}, err
		}
		n := size(w.o)
		if warm {
			n = min(n, warmSize)
		}
		began := time.Now()
		used, err := p.cpu(func() error {
			var g errgroup.Group
			for range streams {
				g.Go(func() error { return e.Move(ctx, e.Client(w.conf), way, n) })
			}
			return g.Wait()
		})
		if err != nil {
			return sample{}, err
		}
		all := float64(streams) * float64(n)
		return sample{int64(streams), float64(used.Nanoseconds()) / (all / 1e9), map[string]float64{
			"MB/s": all / 1e6 / time.Since(began).Seconds(),
		}}, nil
	}
	return f
}
