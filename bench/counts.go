package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// counts are what a process has done and holds. Unlike times they are the same
// on a busy machine, or nearly so.
type counts struct {
	reads, writes float64 // system calls
	mallocs       float64 // objects allocated
	goroutines    float64
	heap, stack   float64 // bytes that are in use
}

func (c counts) less(d counts) counts {
	return counts{c.reads - d.reads, c.writes - d.writes, c.mallocs - d.mallocs, c.goroutines - d.goroutines, c.heap - d.heap, c.stack - d.stack}
}

func (c counts) by(n float64) counts {
	return counts{c.reads / n, c.writes / n, c.mallocs / n, c.goroutines / n, c.heap / n, c.stack / n}
}

// relayCounts reads the relay's, after a collection: what is garbage is not
// held, and only a collection makes the allocator's counters exact.
func (w *world) relayCounts(ctx context.Context, relay *child) (c counts, err error) {
	for range 2 { // pools take two to let go
		if err := adminGet(ctx, w.first.admin, "/debug/pprof/heap?gc=1"); err != nil {
			return c, fmt.Errorf("force a collection: %w", err)
		}
	}
	text, err := adminRead(ctx, w.first.admin, "/metrics")
	if err != nil {
		return c, err
	}
	if err := c.parseMetrics(text); err != nil {
		return c, err
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", relay.cmd.Process.Pid))
	if err != nil {
		return c, err
	}
	return c, c.parseIO(b)
}

// parseMetrics takes what the Go runtime tells from Prometheus's text format.
func (c *counts) parseMetrics(b []byte) error {
	return parseNumbers(b, " ", map[string]*float64{
		"go_memstats_mallocs_total": &c.mallocs, "go_goroutines": &c.goroutines,
		"go_memstats_heap_alloc_bytes": &c.heap, "go_memstats_stack_inuse_bytes": &c.stack,
	})
}

// parseIO takes the system calls that read and write from /proc/<pid>/io
// (proc_pid_io(5)). Those that found nothing to read are among them.
func (c *counts) parseIO(b []byte) error {
	return parseNumbers(b, ": ", map[string]*float64{"syscr": &c.reads, "syscw": &c.writes})
}

// parseNumbers reads lines of a name and a number; all that are wanted must be
// there. On an error nothing is set.
func parseNumbers(b []byte, between string, want map[string]*float64) error {
	found := make(map[string]float64)
	for line := range bytes.Lines(b) {
		name, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte(between))
		if !ok || want[string(name)] == nil {
			continue
		}
		n, err := strconv.ParseFloat(string(value), 64)
		if err != nil || n < 0 || n != n {
			return fmt.Errorf("%s is %q", name, value)
		}
		found[string(name)] = n
	}
	var missing []error
	for name := range want {
		if _, ok := found[name]; !ok {
			missing = append(missing, fmt.Errorf("no %s", name))
		}
	}
	if missing != nil {
		return errors.Join(missing...)
	}
	for name, n := range found {
		*want[name] = n
	}
	return nil
}
