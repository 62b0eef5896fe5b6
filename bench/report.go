package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report is a run: on what it was, and what came out.
type report struct {
	o       options
	began   time.Time
	version string // of the programs measured
	cpu     string
	nginx   string
	figures []*figure
	others  []float64 // share of the machine that strangers used, by round
}

func newReport(ctx context.Context, o options) *report {
	return &report{o: o, began: time.Now().UTC(), version: o.version(ctx), cpu: cpuModel(), nginx: nginxVersion(ctx)}
}

// chosen are those that -only names.
func (r *report) chosen(figures []*figure) []*figure {
	var out []*figure
	for _, f := range figures {
		if r.o.only.MatchString(f.name) {
			out = append(out, f)
		}
	}
	return out
}

// selected are the chosen, which become part of the report.
func (r *report) selected(figures []*figure) []*figure {
	chosen := r.chosen(figures)
	r.figures = append(r.figures, chosen...)
	return chosen
}

func (r *report) preamble(out io.Writer) {
	fmt.Fprintf(out, "trunkline %s beside %s, on %d x %s, %s\n", r.version, r.nginx, runtime.NumCPU(), r.cpu, runtime.Version())
	if r.o.quick {
		fmt.Fprintln(out, "A quick run: it shows that the benchmark works. Its figures mean little.")
	}
}

// finish prints the table and writes the files.
func (r *report) finish(o options) error {
	if len(r.figures) == 0 {
		return fmt.Errorf("no figure is called %s", o.only)
	}
	r.table(o.out)
	if err := os.MkdirAll(o.outDir, 0o755); err != nil {
		return err
	}
	base := filepath.Join(o.outDir, r.began.Format("20060102-150405-")+r.version)
	var text, doc bytes.Buffer
	r.benchmarks(&text)
	if err := r.json(&doc); err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(base+".txt", text.Bytes(), 0o644), os.WriteFile(base+".json", doc.Bytes(), 0o644)); err != nil {
		return err
	}
	fmt.Fprintf(o.out, "\n%s.txt is for benchstat, %s.json for other programs.\n", base, filepath.Base(base))
	return nil
}

func (r *report) table(out io.Writer) {
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "figure\trelay\t\tnginx\t\trelay/nginx\tgoal")
	for _, f := range r.figures {
		relay, other := f.samples[viaRelay], f.samples[viaNginx]
		own, base := summarize(values(relay)), summarize(values(other))
		row := []string{f.title, f.show(own.median), own.spread(), "-", "", "-", "-"}
		if len(relay) < 2 {
			row[2] = "" // of one there is no range
		}
		if len(other) > 0 {
			row[3], row[4] = f.show(base.median), base.spread()
			if v := ratios(relay, other); len(v) > 0 { // a short run may be below the clock's grain
				row[5] = fmt.Sprintf("%.2f", summarize(v).median)
			}
		}
		switch {
		case f.goal > 0 && len(other) > 0:
			row[6] = fmt.Sprintf("<= %.1f", f.goal)
		case f.goal > 0:
			row[6] = "<= " + f.show(f.goal)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush() // to a terminal
	fmt.Fprintf(out, "\nMedians of %d rounds, ± half the range; ratios are of the same round. Memory is measured once, with %d tunnels.\n", r.o.rounds, r.o.tunnels)
	if others := summarize(r.others); len(r.others) > 0 {
		fmt.Fprintf(out, "Others used %.0f%% of the machine meanwhile (%.0f to %.0f%%).\n", 100*others.median, 100*others.low, 100*others.high)
		if others.high > noisy {
			fmt.Fprintln(out, "That is much: measure again when it is quiet.")
		}
	}
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func nginxVersion(ctx context.Context) string {
	program, err := lookup("nginx")
	if err != nil {
		return "nginx"
	}
	out, err := exec.CommandContext(ctx, program, "-v").CombinedOutput()
	if _, v, ok := strings.Cut(string(out), "nginx/"); err == nil && ok {
		return "nginx " + word(v)
	}
	return "nginx"
}

// word is the first word of s, fit for a file's name.
func word(s string) string {
	for w := range strings.FieldsSeq(s) {
		return strings.Map(func(c rune) rune {
			if c == '/' || c < ' ' {
				return '_'
			}
			return c
		}, w)
	}
	return "unknown"
}
