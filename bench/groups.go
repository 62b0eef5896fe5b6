package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// share is what a group of functions has of a profile.
type share struct {
	group string
	of    float64
}

// topGroups are the n groups with the largest shares of p's CPU time, and the
// time in ns that they are shares of.
func topGroups(p *profile.Profile, n int) (top []share, total int64) {
	sums := make(map[string]int64)
	for _, s := range p.Sample {
		ns := s.Value[len(s.Value)-1] // samples, then nanoseconds
		sums[groupOf(functions(s))] += ns
		total += ns
	}
	for group, ns := range sums {
		top = append(top, share{group, float64(ns) / float64(max(total, 1))})
	}
	slices.SortFunc(top, func(a, b share) int { return cmp.Or(cmp.Compare(b.of, a.of), cmp.Compare(a.group, b.group)) })
	return top[:min(n, len(top))], total
}

// functions are the names of a sample's, the one that ran first.
func functions(s *profile.Sample) []string {
	var out []string
	for _, l := range s.Location {
		for _, line := range l.Line {
			if line.Function != nil {
				out = append(out, line.Function.Name)
			}
		}
	}
	return out
}

// groupOf says what a stack was about: what the runtime did, by its purpose;
// what the kernel and the ciphers did; else whose package it was.
func groupOf(stack []string) string {
	if len(stack) == 0 {
		return "unknown"
	}
	leaf := stack[0]
	is := func(names ...string) bool {
		return slices.ContainsFunc(stack, func(f string) bool {
			return slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(f, name) })
		})
	}
	switch {
	case is("runtime.gcBgMark", "runtime.gcAssist", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcStart", "runtime.gcMarkTermination"):
		return "garbage collection"
	case is("runtime.mallocgc", "runtime.newobject", "runtime.makeslice", "runtime.growslice", "runtime.newstack", "runtime.stackalloc"):
		return "allocation and stacks"
	case is("runtime.futex"):
		return "kernel: futex"
	case is("runtime.netpoll", "golang.org/x/sys/unix.EpollWait"):
		return "kernel: epoll"
	case inKernel(leaf) && is("internal/poll.(*FD).Write", "syscall.Write", "golang.org/x/sys/unix.Write"):
		return "kernel: write"
	case inKernel(leaf) && is("internal/poll.(*FD).Read", "syscall.Read", "golang.org/x/sys/unix.Read"):
		return "kernel: read"
	case inKernel(leaf):
		return "kernel: other"
	case strings.HasPrefix(leaf, "crypto/tls."):
		return "crypto/tls"
	case strings.HasPrefix(leaf, "crypto/"):
		return "ciphers"
	case is("runtime.schedule", "runtime.findRunnable", "runtime.mcall", "runtime.goready", "runtime.ready", "runtime.wakep", "runtime.gopark", "runtime.mstart"):
		return "scheduling"
	case is("runtime.chansend", "runtime.chanrecv", "runtime.selectgo"):
		return "channels"
	case strings.HasPrefix(leaf, "runtime.memmove"), strings.HasPrefix(leaf, "runtime.memclr"):
		return "copying and clearing"
	case is("time.", "runtime.(*timer", "runtime.resetForSleep") && strings.HasPrefix(leaf, "runtime."):
		return "timers"
	}
	for _, f := range stack {
		if own := packageOf(f); !common(own) {
			return own
		}
	}
	return "runtime and library"
}

func inKernel(leaf string) bool {
	for _, prefix := range []string{"syscall.", "internal/runtime/syscall", "runtime/internal/syscall", "golang.org/x/sys/unix."} {
		if strings.HasPrefix(leaf, prefix) {
			return true
		}
	}
	return false
}

// packageOf cuts "a/b.c/d.(*T).M" to "a/b.c/d".
func packageOf(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	if dot := strings.IndexByte(function[slash:], '.'); dot >= 0 {
		return function[:slash+dot]
	}
	return function
}

// common are packages that everybody calls, so that the caller says more.
func common(pkg string) bool {
	switch strings.SplitN(pkg, "/", 2)[0] {
	case "runtime", "internal", "sync", "syscall", "bytes", "strings", "strconv", "bufio", "io", "time", "slices", "maps", "math", "sort",
		"errors", "context", "unicode", "reflect", "encoding", "fmt", "net", "os", "golang.org", "aeshashbody", "memeqbody", "cmpbody", "indexbytebody", "type:":
		return true
	}
	return false
}
