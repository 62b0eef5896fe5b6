package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// call is a system call and how often it was made.
type call struct {
	name string
	n    float64
}

const callsShown = 6

// trace counts the relay's system calls for each unit of a figure's work. strace
// stops the relay at every one, so that less comes together than without.
func (w *world) trace(ctx context.Context, f *figure, relay proxy) ([]call, error) {
	program, err := exec.LookPath("strace")
	if err != nil {
		return nil, errors.New("no strace on PATH")
	}
	file := w.path("strace")
	tracer, err := w.fam.start("strace", []string{program, "-f", "-qq", "-c", "-o", file, "-p", strconv.Itoa(relay.cmd.Process.Pid)}, nil, nil)
	if err != nil {
		return nil, err
	}
	traced := tracer.await(ctx, startTime, func() error { return tracedBy(relay.cmd.Process.Pid, tracer.cmd.Process.Pid) })
	var s sample
	if traced == nil {
		s, err = f.measure(ctx, w, relay, false)
	}
	_ = tracer.cmd.Process.Signal(syscall.SIGINT) // it writes its table then
	select {
	case <-tracer.done:
	case <-time.After(stopTime):
		tracer.stop()
	}
	if err := errors.Join(traced, err); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	calls, err := parseStrace(b)
	for i := range calls {
		calls[i].n /= f.work(w.o, s)
	}
	return calls[:min(len(calls), callsShown)], err
}

// tracedBy is an error unless all threads of pid are traced by tracer.
func tracedBy(pid, tracer int) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		return errors.Join(err, errors.New("the relay has no threads"))
	}
	for _, file := range threads {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !bytes.Contains(b, fmt.Appendf(nil, "TracerPid:\t%d\n", tracer)) {
			return errors.New("the relay is not traced: strace may not be allowed")
		}
	}
	return nil
}

// parseStrace reads strace -c's table, whose lines are per cent, seconds, usecs
// a call, calls, errors if there were any, and the name. What is made most comes
// first.
func parseStrace(b []byte) ([]call, error) {
	var out []call
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) < 5 || len(f) > 6 || string(f[len(f)-1]) == "total" {
			continue
		}
		if _, err := strconv.ParseFloat(string(f[0]), 64); err != nil {
			continue // head and rules
		}
		n, err := strconv.ParseUint(string(f[3]), 10, 48)
		if err != nil {
			return nil, fmt.Errorf("strace: %w", err)
		}
		out = append(out, call{string(f[len(f)-1]), float64(n)})
	}
	if out == nil {
		return nil, errors.New("strace: no system call in its table")
	}
	slices.SortFunc(out, func(a, b call) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name)) })
	return out, nil
}
