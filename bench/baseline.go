package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// limit is by how much a count may be over its baseline before it is worse: a
// share, for what hangs on how things happen to meet, and a little at any rate.
type limit struct{ share, least float64 }

// limits are by unit. They are twice the range that nine runs had, some on a
// quiet machine and some beside three busy loops.
var limits = map[string]limit{
	"allocs/op":         {0.05, 0.5},
	"writes/op":         {0.10, 0.1},
	"reads/op":          {0.15, 0.2},
	"writes/MiB":        {0.25, 2},
	"reads/MiB":         {0.30, 2},
	"goroutines/tunnel": {0, 0.1},
	"heap-B/tunnel":     {0.10, 512},
	"stack-B/tunnel":    {0.10, 512},
}

// gated are those of a probe's counts that have a limit. The others hang on how
// busy the machine is: they can be compared in one run, and not with a file.
func gated(got []entry) []entry {
	return slices.DeleteFunc(got, func(e entry) bool {
		_, ok := limits[e.Unit]
		return !ok
	})
}

// crowded is added to the share where many requests are under way: how many
// streams they are on, and what goes out together, hangs on how they meet.
const crowded = 0.25

// atMost is what a count may be.
func (e entry) atMost() float64 {
	l := limits[e.Unit]
	if strings.Contains(e.Name, "/conns=64/") {
		l.share += crowded
	}
	return e.Value*(1+l.share) + l.least
}

// worse are those of now that are over their limit, or were never recorded.
func worse(now, baseline []entry) []entry {
	var out []entry
	for _, e := range now {
		was, ok := find(baseline, e)
		if !ok || e.Value > was.atMost() {
			out = append(out, e)
		}
	}
	return out
}

// unmeasured are those of the baseline that now lacks: a count that nobody
// takes any more would never get worse.
func unmeasured(now, baseline []entry) []entry {
	var out []entry
	for _, e := range baseline {
		if _, ok := find(now, e); !ok {
			out = append(out, e)
		}
	}
	return out
}

func find(in []entry, e entry) (entry, bool) {
	i := slices.IndexFunc(in, func(f entry) bool { return f.Name == e.Name && f.Unit == e.Unit })
	if i < 0 {
		return entry{}, false
	}
	return in[i], true
}

// joined makes one measurement of several of the same.
func joined(tries [][]entry, how func(summary) float64) []entry {
	out := slices.Clone(tries[0])
	for i, e := range out {
		var v []float64
		for _, t := range tries {
			if f, ok := find(t, e); ok {
				v = append(v, f.Value)
			}
		}
		out[i].Value = how(summarize(v))
	}
	return out
}

func lowest(s summary) float64 { return s.low } // noise only adds
func median(s summary) float64 { return s.median }

// renewed is the baseline that follows another: what is the same but for noise
// stays as it was, or every renewal would let a little more pass.
func renewed(baseline, now []entry) []entry {
	out := slices.Clone(now)
	for i, e := range out {
		if was, ok := find(baseline, e); ok && e.Value <= was.atMost() && was.Value <= e.atMost() {
			out[i] = was
		}
	}
	return out
}

func parseBaseline(b []byte) ([]entry, error) {
	var out []entry
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	for _, e := range out {
		if _, ok := limits[e.Unit]; !ok || e.Value < 0 || e.Name == "" {
			return nil, fmt.Errorf("baseline: %s: no count is %v %s", e.Name, e.Value, e.Unit)
		}
	}
	return out, nil
}

func writeBaseline(entries []entry) ([]byte, error) {
	e := slices.Clone(entries)
	slices.SortFunc(e, func(a, b entry) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Unit, b.Unit)) })
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, e := range e {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		b.WriteString("  ")
		b.Write(line)
		if i < len(entries)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("]\n")
	return b.Bytes(), nil
}

// verdict prints every count beside its baseline.
func verdict(out io.Writer, now, baseline []entry) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "count\tunit\tbaseline\tnow\tat most\t")
	for _, e := range now {
		was, ok := find(baseline, e)
		if !ok {
			fmt.Fprintf(t, "%s\t%s\t-\t%.2f\t-\tnot in the baseline\n", e.Name, e.Unit, e.Value)
			continue
		}
		note := ""
		switch {
		case e.Value > was.atMost():
			note = "WORSE"
		case was.Value > e.atMost():
			note = "better: record it"
		}
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%.2f\t%.2f\t%s\n", e.Name, e.Unit, was.Value, e.Value, was.atMost(), note)
	}
	_ = t.Flush() // to a terminal
}
