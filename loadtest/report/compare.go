package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchmath"

	"trunkline/loadtest/result"
)

// ErrUnlike is of results whose difference would say nothing about the
// installation.
var ErrUnlike = errors.New("these runs cannot be compared")

// What is beyond the noise. A run is cut into blocks of consecutive steps, long
// enough that one does not hang on its neighbour; the blocks of the two runs are
// the samples of a Mann-Whitney U test, which assumes no distribution. As many
// metrics are looked at, the level is divided by their number (Bonferroni).
const (
	mostBlocks  = 20
	leastBlocks = 8
	level       = 0.01
	smallest    = 0.02 // of a change: histograms are off by 1 %
)

// Comparison is what changed from one run to another.
type Comparison struct {
	Before, After *result.Result
	Metrics       []Change
}

// Change is what became of one metric.
type Change struct {
	Name          string
	Before, After float64
	P             float64 // how likely such a difference is between equal runs
	Beyond        bool    // the noise
	Worse         bool    // if it is
	format        func(float64) string
}

// Compare says what changed from a to b. It refuses unlike runs with the reason.
func Compare(a, b *result.Result) (*Comparison, error) {
	if why := unlike(a, b); why != "" {
		return nil, fmt.Errorf("%w: %s", ErrUnlike, why)
	}
	c := &Comparison{Before: a, After: b}
	ms := compared(a)
	for _, m := range ms {
		before, after := m.blocks(a), m.blocks(b)
		if len(before) < leastBlocks || len(after) < leastBlocks {
			continue
		}
		c.Metrics = append(c.Metrics, m.change(before, after, level/float64(len(ms))))
	}
	if len(c.Metrics) == 0 {
		return nil, fmt.Errorf("%w: nothing was measured in both for at least %d steps", ErrUnlike, leastBlocks)
	}
	return c, nil
}

// Changed are those beyond the noise.
func (c *Comparison) Changed() []Change {
	return slices.DeleteFunc(slices.Clone(c.Metrics), func(m Change) bool { return !m.Beyond })
}

// Print writes the comparison for a terminal.
func (c *Comparison) Print(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s, then %s\n\n", c.Before.Scenario.Name, c.Before.Tool.Version, c.After.Tool.Version)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "metric\tbefore\tafter\tchange\t")
	for _, m := range c.Metrics {
		change := "~"
		if m.Beyond {
			change = "better"
			if m.Worse {
				change = "WORSE"
			}
			if m.Before > 0 {
				change = fmt.Sprintf("%+.1f%%  %s", 100*(m.After/m.Before-1), change)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t(p=%.3f)\n", m.Name, m.format(m.Before), m.format(m.After), change, m.P)
	}
	_ = t.Flush() // to memory
	if n := len(c.Changed()); n == 0 {
		fmt.Fprintln(&b, "\nNo change beyond the noise.")
	} else {
		fmt.Fprintf(&b, "\n%d of %d changed beyond the noise within the runs. Two runs can also differ by what the machine did meanwhile: repeat both before you believe it.\n", n, len(c.Metrics))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// unlike says why two runs cannot be compared.
func unlike(a, b *result.Result) string {
	switch {
	case a.Scenario.Name != b.Scenario.Name:
		return fmt.Sprintf("one is of scenario %q, the other of %q", a.Scenario.Name, b.Scenario.Name)
	case a.Scenario.Text != b.Scenario.Text:
		return fmt.Sprintf("scenario %q was changed between them", a.Scenario.Name)
	case a.Machine != b.Machine:
		return fmt.Sprintf("one was made on %s, the other on %s", machine(a.Machine), machine(b.Machine))
	case a.Step != b.Step:
		return fmt.Sprintf("steps of %g s and of %g s", a.Step, b.Step)
	case a.Interrupted != "" || b.Interrupted != "":
		return "one of them was interrupted"
	case len(a.Generators) != len(b.Generators):
		return fmt.Sprintf("%d generators made one, %d the other", len(a.Generators), len(b.Generators))
	case slices.ContainsFunc(slices.Concat(a.Generators, b.Generators), func(g result.Generator) bool { return g.Lost != "" }):
		return "one of them lost a generator"
	case !slices.Equal(kindNames(a), kindNames(b)):
		return fmt.Sprintf("traffic of %s, and of %s", strings.Join(kindNames(a), ", "), strings.Join(kindNames(b), ", "))
	case math.Abs(a.Seconds()-b.Seconds()) > 0.1*max(a.Seconds(), b.Seconds()):
		return fmt.Sprintf("one lasted %s, the other %s", span(a.Seconds()), span(b.Seconds()))
	}
	return ""
}

func machine(m result.Machine) string {
	return fmt.Sprintf("%d x %s, %s, %s", m.CPUs, cmp.Or(m.CPU, m.Arch), byteSize(float64(m.Memory)), m.OS)
}

// measure is a metric that has a value for a part of a run.
type measure struct {
	name   string
	more   bool // is better
	format func(float64) string
	// of is NaN if the steps from and to before to have no value.
	of func(r *result.Result, from, to int) float64
}

func compared(r *result.Result) []measure {
	var out []measure
	for _, name := range kindNames(r) {
		total := func(r *result.Result, from, to int) (t result.Tally) {
			steps := r.Kinds[name].Steps
			for _, s := range steps[min(from, len(steps)):min(to, len(steps))] {
				t.Add(s)
			}
			return t
		}
		out = append(out,
			measure{name + " good answers a second", true, whole, func(r *result.Result, from, to int) float64 {
				return float64(total(r, from, to).OK) / (float64(to-from) * r.Step)
			}},
			measure{name + " error ratio", false, func(v float64) string { return fmt.Sprintf("%.3g%%", 100*v) }, func(r *result.Result, from, to int) float64 {
				return total(r, from, to).ErrorRatio()
			}})
		for _, q := range []struct {
			name string
			q    float64
		}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}} {
			out = append(out, measure{name + " " + q.name, false, seconds, func(r *result.Result, from, to int) float64 {
				h := total(r, from, to).Latency
				if h.Count() == 0 {
					return math.NaN()
				}
				return h.Quantile(q.q).Seconds()
			}})
		}
	}
	processes := func(of func(result.Process) result.Series) func(*result.Result, int, int) float64 {
		return func(r *result.Result, from, to int) float64 {
			sum, any := 0.0, false
			for _, p := range r.Relays {
				s := of(p)
				if known := s[min(from, len(s)):min(to, len(s))].Known(); len(known) > 0 {
					sum, any = sum+middle(known), true
				}
			}
			if !any {
				return math.NaN()
			}
			return sum
		}
	}
	return append(out,
		measure{"tunnels up", true, whole, func(r *result.Result, from, to int) float64 {
			if known := r.Tunnels[min(from, len(r.Tunnels)):min(to, len(r.Tunnels))].Known(); len(known) > 0 {
				return middle(known)
			}
			return math.NaN()
		}},
		measure{"relays' CPU", false, cores, processes(func(p result.Process) result.Series { return p.CPU })},
		measure{"relays' memory", false, byteSize, processes(func(p result.Process) result.Series { return p.Memory })})
}

// blocks are the values of consecutive parts of a run.
func (m measure) blocks(r *result.Result) []float64 {
	steps := int(r.Seconds() / r.Step)
	n := min(steps, mostBlocks)
	var out []float64
	for i := range n {
		if v := m.of(r, i*steps/n, (i+1)*steps/n); !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}

func (m measure) change(before, after []float64, alpha float64) Change {
	thresholds := benchmath.Thresholds{CompareAlpha: alpha}
	p := benchmath.AssumeNothing.Compare(benchmath.NewSample(before, &thresholds), benchmath.NewSample(after, &thresholds)).P
	c := Change{Name: m.name, Before: middle(before), After: middle(after), P: p, format: m.format}
	// A median of errors is 0 until half of the blocks have some.
	if c.Before == c.After {
		c.Before, c.After = average(before), average(after)
	}
	c.Beyond = p < alpha && math.Abs(c.After-c.Before) > smallest*math.Abs(c.Before)
	c.Worse = (c.After > c.Before) != m.more
	return c
}

func average(vs []float64) float64 {
	sum := 0.0
	for _, v := range vs {
		sum += v
	}
	return sum / float64(len(vs))
}
