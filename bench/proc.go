package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ is 100 for every program on
// Linux, whatever the kernel's own clock (proc_pid_stat(5), time(7)).
const tick = 10 * time.Millisecond

// cpuTime is what all threads of a process have used, user and system.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(b)
}

// parseStat adds fields 14 and 15, utime and stime. Field 2 is the program's
// name in parentheses, and may have spaces and parentheses in it.
func parseStat(b []byte) (time.Duration, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, errors.New("/proc stat: no program name")
	}
	fields := bytes.Fields(b[i+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc stat: %d fields after the program's name", len(fields))
	}
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseUint(string(f), 10, 48)
		if err != nil {
			return 0, fmt.Errorf("/proc stat: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// spent is the time that work took, and what a process used of the processors
// meanwhile.
type spent struct{ wall, cpu time.Duration }

// timed is what work spends of a process.
func timed(pid int, work func() error) (spent, error) {
	before, err := cpuFine(pid)
	if err != nil {
		return spent{}, err
	}
	began := time.Now()
	if err := work(); err != nil {
		return spent{}, err
	}
	wall := time.Since(began)
	after, err := cpuFine(pid)
	return spent{wall, after - before}, err
}

// cpuFine is cpuTime to the nanosecond, of the threads that live: Go's seldom
// end. It is 0 where the kernel keeps no such account (its CONFIG_SCHED_INFO).
func cpuFine(pid int) (sum time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended meanwhile
		}
		if err != nil {
			return 0, err
		}
		n, err := parseSchedstat(b)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// parseSchedstat takes the first field, nanoseconds on a processor
// (Documentation/scheduler/sched-stats.rst of the kernel).
func parseSchedstat(b []byte) (time.Duration, error) {
	first, _, _ := bytes.Cut(b, []byte(" "))
	n, err := strconv.ParseUint(string(first), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("/proc schedstat: %w", err)
	}
	return time.Duration(n), nil
}

// rss is a process's resident memory in bytes.
func rss(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseStatus(b)
}

// parseStatus reads the line "VmRSS:	   12345 kB".
func parseStatus(b []byte) (int64, error) {
	for line := range bytes.Lines(b) {
		rest, ok := bytes.CutPrefix(line, []byte("VmRSS:"))
		if !ok {
			continue
		}
		number, unit, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
		n, err := strconv.ParseUint(string(number), 10, 40)
		if err != nil || string(unit) != "kB" {
			return 0, fmt.Errorf("/proc status: VmRSS is %q", rest)
		}
		return int64(n) << 10, nil
	}
	return 0, errors.New("/proc status: no VmRSS: the process has ended")
}
