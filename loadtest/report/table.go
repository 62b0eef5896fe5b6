package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"trunkline/loadtest/result"
)

// Print writes what a run came to for a terminal.
func Print(w io.Writer, r *result.Result) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s: %s measured, after %s of warm-up\n", r.Scenario.Name, span(r.Seconds()), span(r.WarmUp))
	if r.Interrupted != "" {
		fmt.Fprintf(&b, "INTERRUPTED: %s\n", plainText(r.Interrupted))
	}
	fmt.Fprintln(&b)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "traffic\tdue\tok/s\terrors\tp50\tp90\tp99\tp99.9\tmax\tchecked\t")
	for _, row := range rows(r) {
		fmt.Fprintln(t, strings.Join(row.cells(), "\t")+"\t")
	}
	_ = t.Flush() // to memory
	if codes := codes(r.Total("")); len(codes) > 0 {
		fmt.Fprintln(&b, "\nerrors:")
		for _, c := range codes {
			fmt.Fprintf(&b, "  %7d  %s\n", c.n, c.code)
		}
	}
	if ps := processes(r); len(ps) > 0 {
		fmt.Fprintln(&b)
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "process\tCPU mean\tCPU peak\tmemory first\tmemory last\tmemory peak\t")
		for _, p := range ps {
			fmt.Fprintln(t, strings.Join([]string{p.Name, p.CPUMean, p.CPUPeak, p.First, p.Last, p.Peak}, "\t")+"\t")
		}
		_ = t.Flush()
	}
	if len(r.Thresholds) > 0 {
		fmt.Fprintln(&b)
		for _, o := range r.Thresholds {
			fmt.Fprintf(&b, "%s  %s  (%s)\n", verdict(o), o.Threshold, plainText(o.Got))
		}
	}
	if fs := Findings(r); len(fs) > 0 {
		fmt.Fprintln(&b, "\nwhat to look at:")
		for _, f := range fs {
			fmt.Fprintf(&b, "- %s\n", plainText(f))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func verdict(o result.Outcome) string {
	if o.Passed {
		return "PASS"
	}
	return "FAIL"
}

// row is one kind of traffic, or all.
type row struct {
	Kind                     string
	Due, Rate, Errors        string
	P50, P90, P99, P999, Max string
	Checked                  string
}

func (r row) cells() []string {
	return []string{r.Kind, r.Due, r.Rate, r.Errors, r.P50, r.P90, r.P99, r.P999, r.Max, r.Checked}
}

// rows are of each kind, and if there are more than one, of all.
func rows(r *result.Result) []row {
	kinds := kindNames(r)
	var out []row
	for _, name := range kinds {
		out = append(out, rowOf(name, r.Total(name), r.Seconds()))
	}
	if len(kinds) > 1 {
		out = append(out, rowOf("all", r.Total(""), r.Seconds()))
	}
	return out
}

func rowOf(name string, t result.Tally, seconds float64) row {
	at := func(q float64) string {
		// Of 50 requests none is the slowest hundredth.
		if float64(t.OK)*(1-q) < 1 && q < 1 || t.OK == 0 {
			return "-"
		}
		return duration(t.Latency.Quantile(q))
	}
	errors := strconv.FormatInt(t.Failed(), 10)
	if t.Failed() > 0 {
		errors += fmt.Sprintf(" (%.2g%%)", 100*t.ErrorRatio())
	}
	checked := []string{byteSize(float64(t.Checked.Bytes))}
	for _, damage := range []struct {
		what string
		n    int64
	}{{"LOST", t.Checked.Lost}, {"DUPLICATED", t.Checked.Duplicated}, {"CORRUPTED", t.Checked.Corrupted}} {
		if damage.n > 0 {
			checked = append(checked, fmt.Sprintf("%d B %s", damage.n, damage.what))
		}
	}
	return row{name, strconv.FormatInt(t.Count(), 10), fmt.Sprintf("%.1f", float64(t.OK)/max(seconds, 1e-9)), errors, at(0.5), at(0.9), at(0.99), at(0.999), at(1), strings.Join(checked, ", ")}
}

func kindNames(r *result.Result) []string { return slices.Sorted(maps.Keys(r.Kinds)) }

type codeCount struct {
	code string
	n    int64
}

// codes are the errors of a tally, the most frequent first.
func codes(t result.Tally) []codeCount {
	var out []codeCount
	for code, n := range t.Errors {
		out = append(out, codeCount{code, n})
	}
	slices.SortFunc(out, func(a, b codeCount) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.code, b.code)) })
	return out
}

// processRow is what a process used.
type processRow struct{ Name, CPUMean, CPUPeak, First, Last, Peak string }

func processes(r *result.Result) []processRow {
	var out []processRow
	for _, p := range r.Relays {
		out = append(out, processOf(called("relay", p.Name), p))
	}
	for _, g := range r.Generators {
		name := called("generator", g.Name)
		if g.Lost != "" {
			name += " (LOST)"
		}
		out = append(out, processOf(name, g.Process))
	}
	return out
}

// called is a process by what it is and its name, which may say so itself.
func called(what, name string) string {
	if strings.HasPrefix(name, what) {
		return name
	}
	return what + " " + name
}

func processOf(name string, p result.Process) processRow {
	row := processRow{name, "-", "-", "-", "-", "-"}
	if mean, ok := p.MeanCPU(); ok {
		row.CPUMean, row.CPUPeak = cores(mean), cores(slices.Max(p.CPU.Known()))
	}
	if memory := p.Memory.Known(); len(memory) > 0 {
		row.First, row.Last, row.Peak = byteSize(memory[0]), byteSize(memory[len(memory)-1]), byteSize(slices.Max(memory))
	}
	return row
}

func cores(v float64) string { return fmt.Sprintf("%.2f cores", v) }

func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d us", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1e3)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func span(seconds float64) string {
	return (time.Duration(seconds * float64(time.Second))).Round(100 * time.Millisecond).String()
}

func byteSize(v float64) string {
	for _, u := range []struct {
		name string
		n    float64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if v >= u.n {
			return fmt.Sprintf("%.4g %s", v/u.n, u.name)
		}
	}
	return fmt.Sprintf("%.0f B", v)
}

// plainText keeps what a document says from controlling the terminal.
func plainText(s string) string { return strings.ToValidUTF8(strings.Map(printableOrSpace, s), "?") }
