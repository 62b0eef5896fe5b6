package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// report is a run: on what it was, and what came out.
type report struct {
	o       options
	began   time.Time
	version string // of the programs measured
	cpu     string
	beside  []string // versions of what it was measured beside
	figures []*figure
	vias    []string // in the order of the table's columns
	looks   []look
	absent  []string  // what was not measured, and why
	others  []float64 // share of the machine that strangers used, by round
}

func newReport(ctx context.Context, o options) *report {
	return &report{o: o, began: time.Now().UTC(), version: o.version(ctx), cpu: cpuModel(), beside: versions(ctx), vias: []string{viaRelay}}
}

// about names the machine, the commit and the versions.
func (r *report) about() string {
	return fmt.Sprintf("trunkline %s beside %s, on %d x %s, %s, %s", r.version, strings.Join(r.beside, ", "), runtime.NumCPU(), r.cpu, kernel(), runtime.Version())
}

// missing notes what is not measured.
func (r *report) missing(what string, why error) {
	r.absent = append(r.absent, fmt.Sprintf("%s: not measured: %v", what, why))
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
	fmt.Fprintln(out, r.about())
	if r.o.quick {
		fmt.Fprintln(out, "A quick run: it shows that the benchmark works. Its figures mean little.")
	}
}

// base is what the names of the run's files begin with.
func (r *report) base() string { return r.began.Format("20060102-150405-") + r.version }

// finish prints the table and writes the files.
func (r *report) finish(o options) error {
	if len(r.figures) == 0 {
		return fmt.Errorf("no figure is called %s", o.only)
	}
	r.table(o.out)
	if err := os.MkdirAll(o.outDir, 0o755); err != nil {
		return err
	}
	base := filepath.Join(o.outDir, r.base())
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

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// kernel is the system's name and release.
func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + word(string(b))
}

func versions(ctx context.Context) []string {
	out := []string{nginxVersion(ctx)}
	if v := haproxyVersion(ctx); v != "" {
		out = append(out, v)
	}
	return out
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
