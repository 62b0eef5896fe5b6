package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"time"

	"trunkline/loadtest/result"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// HTML writes the page of a run.
func HTML(w io.Writer, r *result.Result) error {
	return page.Execute(w, view{
		Result: r, Rows: rows(r), Codes: rowsOfCodes(r), Processes: processes(r), Findings: Findings(r), Plots: plots(r),
		Measured: span(r.Seconds()), WarmUp: span(r.WarmUp), Memory: byteSize(float64(r.Machine.Memory)),
		Events: events(r),
	})
}

// view is what the template shows.
type view struct {
	*result.Result
	Rows             []row
	Codes            []codeRow
	Processes        []processRow
	Findings         []string
	Plots            []*plot
	Measured, WarmUp string
	Memory           string
	Events           []eventRow
}

type codeRow struct {
	Kind, Code string
	N          int64
}

type eventRow struct{ At, Text string }

func rowsOfCodes(r *result.Result) []codeRow {
	var out []codeRow
	for _, name := range kindNames(r) {
		for _, c := range codes(r.Total(name)) {
			out = append(out, codeRow{name, c.code, c.n})
		}
	}
	return out
}

func events(r *result.Result) []eventRow {
	var out []eventRow
	for _, e := range r.Events {
		out = append(out, eventRow{clock(e.At), e.Text})
	}
	return out
}

// plots are those that show something.
func plots(r *result.Result) []*plot {
	var out []*plot
	for _, p := range everyPlot(r) {
		if !p.empty() {
			out = append(out, p)
		}
	}
	return out
}

func everyPlot(r *result.Result) []*plot {
	out := []*plot{ratePlot(r)}
	for _, name := range kindNames(r) {
		out = append(out, latencyPlot(r, name))
	}
	out = append(out, distributionPlot(r), errorPlot(r))
	tunnels := overTime(r, "Tunnels up", "Tunnels that the generators hold, over time", whole)
	tunnels.add("tunnels", times(len(r.Tunnels), r.Step), r.Tunnels)
	cpu := overTime(r, "CPU", "Cores in use by each process, over time", func(v float64) string { return fmt.Sprintf("%.3g", v) })
	memory := overTime(r, "Memory", "Resident memory of each process, over time", byteSize)
	memory.binary = true
	for _, p := range watched(r) {
		if cpu.full() {
			cpu.Title, memory.Title = fmt.Sprintf("CPU of the first %d", lineClasses), fmt.Sprintf("Memory of the first %d", lineClasses)
			break
		}
		cpu.add(p.Name, times(len(p.CPU), r.Step), p.CPU)
		memory.add(p.Name, times(len(p.Memory), r.Step), p.Memory)
	}
	return append(out, tunnels, cpu, memory)
}

// watched are all processes, by what they are.
func watched(r *result.Result) []result.Process {
	var out []result.Process
	for _, p := range r.Relays {
		p.Name = called("relay", p.Name)
		out = append(out, p)
	}
	for _, g := range r.Generators {
		g.Process.Name = called("generator", g.Name)
		out = append(out, g.Process)
	}
	return out
}

func overTime(r *result.Result, title, about string, format func(float64) string) *plot {
	p := &plot{Title: title, About: about, format: format, xFormat: clock, xMost: r.Seconds()}
	for _, k := range r.Kinds {
		p.xMost = max(p.xMost, float64(len(k.Steps))*r.Step)
	}
	p.xMost = max(p.xMost, float64(len(r.Tunnels))*r.Step)
	for _, e := range r.Events {
		p.marks = append(p.marks, e.At)
	}
	return p
}

func whole(v float64) string { return fmt.Sprintf("%.6g", v) }

func ratePlot(r *result.Result) *plot {
	p := overTime(r, "Good answers a second", "Rate of requests that had their whole and right answer, by kind of traffic, over time", whole)
	for _, name := range kindNames(r) {
		if p.full() {
			break
		}
		p.add(name, times(len(r.Kinds[name].Steps), r.Step), each(r.Kinds[name], func(t result.Tally) float64 { return float64(t.OK) / r.Step }))
	}
	return p
}

func each(k *result.Kind, of func(result.Tally) float64) []float64 {
	out := make([]float64, len(k.Steps))
	for i, s := range k.Steps {
		out[i] = of(s)
	}
	return out
}

func latencyPlot(r *result.Result, kind string) *plot {
	p := overTime(r, "Latency of "+kind, "Median, 99th percentile and longest latency of "+kind+", logarithmic, over time", seconds)
	p.log = true
	k := r.Kinds[kind]
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"longest", 1}} {
		p.add(q.name, times(len(k.Steps), r.Step), each(k, func(t result.Tally) float64 { return t.Latency.Quantile(q.q).Seconds() }))
	}
	return p
}

func seconds(v float64) string {
	switch {
	case v < 1e-3:
		return fmt.Sprintf("%.3g us", v*1e6)
	case v < 1:
		return fmt.Sprintf("%.3g ms", v*1e3)
	}
	return fmt.Sprintf("%.3g s", v)
}

// distributionPlot is HdrHistogram's: the rarer, the farther to the right, by
// powers of ten.
func distributionPlot(r *result.Result) *plot {
	const nines = 4
	p := &plot{
		Title: "Latency distribution", About: "Latency of each kind of traffic by percentile, both logarithmic",
		log: true, format: seconds, xMost: nines, xTicks: []float64{0, 1, 2, 3, 4},
		xFormat: func(x float64) string { return fmt.Sprintf("%.4g%%", 100*(1-math.Pow(10, -x))) },
	}
	for _, name := range kindNames(r) {
		h := r.Total(name).Latency
		if p.full() {
			break
		}
		var x, y []float64
		// Not beyond what the number of requests can tell.
		for n := 0.0; n <= nines && math.Pow(10, n) <= float64(max(h.Count(), 1)); n += 0.05 {
			x, y = append(x, n), append(y, h.Quantile(max(1-math.Pow(10, -n), 0.001)).Seconds())
		}
		p.add(name, x, y)
	}
	return p
}

func errorPlot(r *result.Result) *plot {
	p := overTime(r, "Errors a second", "Rate of failed requests by code, over time", whole)
	n := 0
	for _, k := range r.Kinds {
		n = max(n, len(k.Steps))
	}
	for _, c := range codes(r.Total("")) {
		if p.full() {
			p.Title = fmt.Sprintf("Errors a second, the %d most frequent codes", lineClasses)
			break
		}
		y := make([]float64, n)
		for _, k := range r.Kinds {
			for i, s := range k.Steps {
				y[i] += float64(s.Errors[c.code]) / r.Step
			}
		}
		p.add(c.code, times(n, r.Step), y)
	}
	return p
}

// When is the beginning as people write it.
func (v view) When() string { return v.Began.UTC().Format(time.RFC1123) }
