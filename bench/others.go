package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// noisy is the share of the machine that others may use before the figures
// are doubted.
const noisy = 0.1

// usage is how much CPU time the machine had, how much of it was used, and how
// much by bench and its children.
type usage struct{ total, busy, own time.Duration }

func (f *family) usage() (u usage, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, err
	}
	if u.total, u.busy, err = parseMachine(b); err != nil {
		return u, err
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} { // the latter are those that have ended
		var r syscall.Rusage
		if err := syscall.Getrusage(who, &r); err != nil {
			return u, err
		}
		u.own += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	for _, c := range f.children {
		if c.alive() == nil {
			used, err := cpuTime(c.cmd.Process.Pid)
			if err != nil {
				return u, err
			}
			u.own += used
		}
	}
	return u, nil
}

// others is the share of the machine that was not ours between two readings.
func (u usage) others(since usage) float64 {
	total := u.total - since.total
	if total <= 0 {
		return 0
	}
	return max(0, float64((u.busy-since.busy)-(u.own-since.own))/float64(total))
}

// parseMachine reads the first line of /proc/stat: user, nice, system, idle,
// iowait, irq, softirq and steal of all processors.
func parseMachine(b []byte) (total, busy time.Duration, err error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, 0, errors.New("/proc/stat does not begin with the processors' times")
	}
	for i, f := range fields[1:9] {
		n, err := strconv.ParseUint(string(f), 10, 48)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
		total += time.Duration(n) * tick
		if i != 3 && i != 4 {
			busy += time.Duration(n) * tick
		}
	}
	return total, busy, nil
}
