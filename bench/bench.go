package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"time"
)

// options are what flags and tests say.
type options struct {
	rounds    int           // of every CPU figure
	seconds   int           // of a measurement of requests
	megabytes int           // of a transfer
	tunnels   []int         // idle ones, at once
	settle    time.Duration // from the last traffic to a reading of memory
	only      *regexp.Regexp
	quick     bool
	profile   bool
	peers     map[string]*string // where their programs are; nil: they are not measured

	trunkline, agent, self []string // programs, with their first arguments
	outDir                 string
	out                    io.Writer
}

// run measures what o.only selects and writes the report.
func run(ctx context.Context, o options) error {
	for _, need := range []string{"wrk", "nginx"} {
		if _, err := lookup(need); err != nil {
			return err
		}
	}
	return inFamily(o, func(o options, fam *family) error {
		r := newReport(ctx, o)
		r.preamble(o.out)
		w, err := newWorld(ctx, o, fam)
		if err != nil {
			return err
		}
		if o.peers == nil {
			if err := measureMemory(ctx, w, r); err != nil {
				return fmt.Errorf("memory: %w", err)
			}
		}
		if err := measureCPU(ctx, w, r); err != nil {
			return fmt.Errorf("CPU: %w", err)
		}
		return r.finish(o)
	})
}

// inFamily does something with processes. Whatever it started has ended and its
// files are gone when inFamily returns.
func inFamily(o options, do func(options, *family) error) (err error) {
	if o.self == nil {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		o.self = []string{self}
	}
	for _, need := range []string{o.trunkline[0], o.agent[0]} {
		if err := built(need); err != nil {
			return err
		}
	}
	runtime.LockOSThread() // see family
	defer runtime.UnlockOSThread()
	dir, err := os.MkdirTemp("", "trunkline-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fam := &family{dir: dir}
	defer fam.stop()
	return do(o, fam)
}

func built(program string) error {
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w; build it with: make build", err)
	}
	return nil
}

// say shows where a long run is.
func (o options) say(format string, args ...any) { fmt.Fprintf(o.out, "  "+format+"\n", args...) }
