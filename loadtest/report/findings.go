package report

import (
	"fmt"
	"math"
	"slices"
	"time"
	"unicode"

	"trunkline/loadtest/result"
)

// Findings are sentences on what in a result asks for a look, the worst first.
// None is what one hopes for.
func Findings(r *result.Result) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, o := range r.Thresholds {
		if !o.Passed {
			say("The threshold %s did not hold: %s.", o.Threshold, o.Got)
		}
	}
	for _, name := range kindNames(r) {
		c := r.Total(name).Checked
		if c.Lost+c.Duplicated+c.Corrupted > 0 {
			say("Content of %s did not come as it was sent: %d bytes lost, %d duplicated, %d corrupted. That is a fault whatever the load.", name, c.Lost, c.Duplicated, c.Corrupted)
		}
	}
	if r.Interrupted != "" {
		say("The run ended before its scenario did: %s.", r.Interrupted)
	}
	for _, g := range r.Generators {
		if g.Lost != "" {
			say("Generator %s was lost (%s): its %d devices and visitors are in the figures until then only.", g.Name, g.Lost, g.Devices)
		}
		if cpu := g.CPU.Known(); len(cpu) > 0 && slices.Max(cpu) > 0.9*float64(r.Machine.CPUs) {
			say("Generator %s had all of its machine's %d processors in use: latencies may be its own, not the installation's. Use more generators.", g.Name, r.Machine.CPUs)
		}
	}
	for _, name := range kindNames(r) {
		if n := r.Kinds[name].InFlight; n > 0 {
			say("%d of %s had no answer yet when the run, or a generator, was cut off: no other figure has them.", n, name)
		}
		if t := r.Total(name); t.Failed() > 0 {
			top := codes(t)[0]
			first := slices.IndexFunc(r.Kinds[name].Steps, func(s result.Tally) bool { return s.Errors[top.code] > 0 })
			say("%d of %d of %s failed, most with %s (%d), first at %s.", t.Failed(), t.Count(), name, top.code, top.n, span(float64(first)*r.Step))
		}
		if at, p99, usual := worst(r.Kinds[name]); p99 > 5*usual {
			say("The slowest time of %s was at %s: p99 %s, against %s usually%s.", name, span(float64(at)*r.Step), duration(p99), duration(usual), near(r, float64(at)*r.Step))
		}
	}
	for _, p := range r.Relays {
		if before, after, ok := p.MemoryGrowth(); ok && after > 1.1*before {
			say("Relay %s's memory grew by %.0f%%, from %s in the second quarter to %s in the last.", p.Name, 100*(after/before-1), byteSize(before), byteSize(after))
		}
	}
	if n := r.Tunnels.Known(); len(n) > 1 && n[len(n)-1] < slices.Max(n) {
		say("%.0f tunnels were up at the end, of %.0f at the most.", n[len(n)-1], slices.Max(n))
	}
	return out
}

// enough requests in a step for its p99 to mean something.
const enough = 20

// worst is the step with the greatest p99, beside the median of all.
func worst(k *result.Kind) (at int, most, usual time.Duration) {
	var all []float64
	for i, s := range k.Steps {
		if s.Latency.Count() < enough {
			continue
		}
		p99 := s.Latency.Quantile(0.99)
		all = append(all, float64(p99))
		if p99 > most {
			at, most = i, p99
		}
	}
	if len(all) == 0 {
		return 0, 0, 0
	}
	return at, most, time.Duration(middle(all))
}

// near names the last event not long before a time.
func near(r *result.Result, at float64) string {
	const long = 30 // seconds
	for _, e := range slices.Backward(r.Events) {
		if e.At <= at+r.Step && e.At > at-long {
			return fmt.Sprintf("; %.0f s before: %s", math.Max(at-e.At, 0), e.Text)
		}
	}
	return ""
}

// middle is the median.
func middle(vs []float64) float64 {
	s := slices.Sorted(slices.Values(vs))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

func printableOrSpace(c rune) rune {
	if unicode.IsPrint(c) {
		return c
	}
	return ' '
}
