package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// table is the report for people: what was measured, what the relay is beside
// the others, and the times.
func (r *report) table(out io.Writer) {
	r.measured(out)
	r.compared(out)
	r.times(out)
	for _, l := range r.looks {
		l.print(out)
	}
	fmt.Fprintf(out, "\nMedians of %d rounds, ± half the range; ratios are of the same round. Memory is measured once.\n", r.o.rounds)
	if r.o.peers != nil {
		fmt.Fprintln(out, r.about()) // the peers' versions too, which the first line could not know
	}
	for _, line := range r.absent {
		fmt.Fprintln(out, line)
	}
	if others := summarize(r.others); len(r.others) > 0 {
		fmt.Fprintf(out, "Others used %.0f%% of the machine meanwhile (%.0f to %.0f%%).\n", 100*others.median, 100*others.low, 100*others.high)
		if others.high > noisy {
			fmt.Fprintln(out, "That is much: measure again when it is quiet.")
		}
	}
}

// measured are the figures themselves: of the relay's process, and of theirs.
func (r *report) measured(out io.Writer) {
	t := grid(out, "figure", r.vias...)
	for _, f := range r.figures {
		row := []string{f.title}
		for _, via := range r.vias {
			row = append(row, cell(f.samples[via], f.show))
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush() // to a terminal
}

func cell(samples []sample, show func(float64) string) string {
	if len(samples) == 0 {
		return "-"
	}
	s := summarize(values(samples))
	if len(samples) < 2 { // of one there is no range
		return show(s.median)
	}
	return show(s.median) + " " + s.spread()
}

// compared are the relay's figures by those of others, and what they are to be.
func (r *report) compared(out io.Writer) {
	var heads []string
	for _, via := range r.vias {
		if via != viaRelay {
			heads = append(heads, "relay/"+via)
		}
	}
	t := grid(out, "ratio", append(heads, "goal")...)
	for _, f := range r.figures {
		row, any := []string{f.title}, f.goal > 0
		for _, via := range r.vias {
			if via == viaRelay {
				continue
			}
			v := ratios(f.samples[viaRelay], f.samples[via])
			if len(v) == 0 { // or a short run is below the clock's grain
				row = append(row, "-")
				continue
			}
			row, any = append(row, fmt.Sprintf("%.2f", summarize(v).median)), true
		}
		if any {
			fmt.Fprintln(t, strings.Join(append(row, f.aim()), "\t"))
		}
	}
	_ = t.Flush()
}

func (f *figure) aim() string {
	switch {
	case f.goal == 0:
		return "-"
	case len(f.samples[viaNginx]) > 0:
		return fmt.Sprintf("<= %.1f x nginx", f.goal)
	}
	return "<= " + f.show(f.goal)
}

// times are of the whole machine, the client and the portal included.
func (r *report) times(out io.Writer) {
	t, any := grid(out, "times, of all together", r.vias...), false
	for _, f := range r.figures {
		for _, unit := range f.units() {
			row := []string{strings.TrimPrefix(f.title, "CPU per ") + ", " + shown[unit].name}
			for _, via := range r.vias {
				v, ok := extras(f.samples[via])[unit]
				if !ok {
					row = append(row, "-")
					continue
				}
				row = append(row, shown[unit].show(v))
			}
			fmt.Fprintln(t, strings.Join(row, "\t"))
			any = true
		}
	}
	if any {
		_ = t.Flush()
	}
}

// units are those of f's extras that the table shows.
func (f *figure) units() []string {
	var out []string
	for _, samples := range f.samples {
		for unit := range extras(samples) {
			if _, ok := shown[unit]; ok && !slices.Contains(out, unit) {
				out = append(out, unit)
			}
		}
	}
	slices.Sort(out)
	return out
}

func grid(out io.Writer, first string, heads ...string) *tabwriter.Writer {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\n"+strings.Join(append([]string{first}, heads...), "\t"))
	return t
}
