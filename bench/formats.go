package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"time"
)

// benchmarks writes Go's benchmark format (golang.org/design/14313-benchmark-format),
// a line per measurement. The configuration lines are only those that must be
// equal for a comparison to make sense: benchstat puts what differs in another
// into tables of their own.
func (r *report) benchmarks(out io.Writer) {
	fmt.Fprintf(out, "goos: %s\ngoarch: %s\npkg: trunkline/bench\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, r.cpu)
	units := make(map[string]string)
	for _, f := range r.figures {
		units[f.unit] = "lower"
	}
	for unit, s := range shown {
		units[unit] = s.better
	}
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		fmt.Fprintf(out, "Unit %s better=%s\n", unit, units[unit])
	}
	for _, f := range r.figures {
		for _, via := range slices.Sorted(maps.Keys(f.samples)) {
			for _, s := range f.samples[via] {
				fmt.Fprintf(out, "Benchmark%s/via=%s-%d\t%d\t%.1f %s", f.name, via, runtime.NumCPU(), s.ops, s.value, f.unit)
				for _, unit := range slices.Sorted(maps.Keys(s.extra)) {
					fmt.Fprintf(out, "\t%.1f %s", s.extra[unit], unit)
				}
				fmt.Fprintln(out)
			}
		}
	}
}

// shown are the units of what a measurement has beside its value, and how
// people read them.
var shown = map[string]struct {
	name, better string
	show         func(float64) string
}{
	"p50-ns/op":            {"half within", "lower", micros},
	"p99-ns/op":            {"99% within", "lower", micros},
	"p999-ns/op":           {"99.9% within", "lower", micros},
	"idle-cpu-ns/tunnel-s": {"CPU per idle second", "lower", micros},
	"echo/s":               {"echoes", "higher", perSecond},
	"page/s":               {"pages", "higher", perSecond},
	"req/s":                {"requests", "higher", perSecond},
	"MB/s":                 {"rate", "higher", func(v float64) string { return fmt.Sprintf("%.0f MB/s", v) }},
}

func perSecond(v float64) string { return fmt.Sprintf("%.0f /s", v) }

func micros(ns float64) string {
	if ns >= 1e6 {
		return fmt.Sprintf("%.2f ms", ns/1e6)
	}
	return fmt.Sprintf("%.1f us", ns/1e3)
}

// entry is one figure, in the form that github-action-benchmark calls
// customSmallerIsBetter.
type entry struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`           // a median, if it is of several
	Range string  `json:"range,omitempty"` // half of it, in per cent
	Extra string  `json:"extra,omitempty"`
}

func (r *report) json(out io.Writer) error {
	about := r.about() + ", " + r.began.Format(time.RFC3339)
	entries := []entry{}
	for _, f := range r.figures {
		for _, via := range slices.Sorted(maps.Keys(f.samples)) {
			s := summarize(values(f.samples[via]))
			extra, more := []byte(about), extras(f.samples[via])
			for _, unit := range slices.Sorted(maps.Keys(more)) {
				extra = fmt.Appendf(extra, "\n%.1f %s", more[unit], unit)
			}
			entries = append(entries, entry{f.name + "/via=" + via, f.unit, s.median, s.spread(), string(extra)})
		}
		for _, via := range r.vias {
			if v := ratios(f.samples[viaRelay], f.samples[via]); via != viaRelay && v != nil {
				s := summarize(v)
				entries = append(entries, entry{f.name + "/via=relay:" + via, "ratio", s.median, s.spread(), about})
			}
		}
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(entries)
}
