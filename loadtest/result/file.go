package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode"
	"unicode/utf8"
)

// Bounds of a document. A result from anywhere may be read.
const (
	MaxSize      = 32 << 20 // bytes
	MaxText      = 1 << 20  // of a scenario
	maxName      = 200      // of names, versions and the like
	maxSentence  = 2000     // of events and reasons
	maxKinds     = 64
	maxProcesses = 1000
	maxEvents    = 10_000
	maxOutcomes  = 200
	maxCount     = int64(1) << 50 // of requests and bytes: sums of them stay exact
	maxSeconds   = 1e8
)

// Write writes the document.
func (r *Result) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// Read reads a document strictly: what it does not know, or what cannot be, is
// an error.
func Read(in io.Reader) (*Result, error) {
	b, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("result: %w", err)
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("result: larger than %d MiB", MaxSize>>20)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	r := new(Result)
	if err = d.Decode(r); err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("something follows the document")
		}
	}
	switch {
	case r.Schema > Schema:
		return nil, fmt.Errorf("result: schema %d; this program knows %d: use a newer one", r.Schema, Schema)
	case err != nil:
		return nil, fmt.Errorf("result: %w", err)
	}
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("result: %w", err)
	}
	return r, nil
}

// Validate says what cannot be.
func (r *Result) Validate() error {
	var c checker
	c.that(r.Schema == Schema, "schema is %d, not %d", r.Schema, Schema)
	c.texts(maxName, r.Tool.Version, r.Tool.Go, r.Machine.OS, r.Machine.Arch, r.Machine.CPU, r.Scenario.Name)
	c.that(r.Machine.CPUs >= 0 && r.Machine.Memory >= 0, "machine: less than nothing")
	c.that(len(r.Scenario.Text) <= MaxText, "scenario: longer than %d bytes", MaxText)
	c.that(len(r.Interrupted) <= maxSentence, "interrupted: longer than %d bytes", maxSentence)
	c.that(r.Step > 0 && r.Step <= maxSeconds, "step of %g seconds", r.Step)
	c.that(r.WarmUp >= 0 && r.WarmUp <= maxSeconds, "warm-up of %g seconds", r.WarmUp)
	c.that(!r.Began.IsZero() && !r.Ended.Before(r.Began) && r.Seconds() <= maxSeconds, "from %v to %v", r.Began, r.Ended)
	c.that(len(r.Kinds) <= maxKinds, "more than %d kinds", maxKinds)
	for name, k := range r.Kinds {
		c.texts(maxName, name)
		if k == nil {
			c.that(false, "kind %.40q is null", name)
			continue
		}
		c.that(len(k.Steps) <= MaxSteps, "kind %.40q: more than %d steps", name, MaxSteps)
		c.that(k.InFlight >= 0 && k.InFlight <= maxCount, "kind %.40q: %d in flight", name, k.InFlight)
		c.tally(name, k.WarmUp)
		for _, s := range k.Steps {
			c.tally(name, s)
		}
	}
	c.series(r.Tunnels)
	c.that(len(r.Relays)+len(r.Generators) <= maxProcesses, "more than %d processes", maxProcesses)
	for _, p := range r.Relays {
		c.process(p)
	}
	for _, g := range r.Generators {
		c.process(g.Process)
		c.that(g.Devices >= 0 && len(g.Lost) <= maxSentence, "generator %.40q cannot be", g.Name)
	}
	c.that(len(r.Events) <= maxEvents, "more than %d events", maxEvents)
	for _, e := range r.Events {
		c.that(math.Abs(e.At) <= maxSeconds && len(e.Text) <= maxSentence, "event %.40q cannot be", e.Text)
	}
	c.that(len(r.Thresholds) <= maxOutcomes, "more than %d thresholds", maxOutcomes)
	for _, o := range r.Thresholds {
		_, err := ParseThreshold(o.Threshold)
		c.that(err == nil && len(o.Got) <= maxSentence, "threshold %.40q: %v", o.Threshold, err)
	}
	return c.err
}

// checker keeps the first thing that cannot be.
type checker struct{ err error }

func (c *checker) that(ok bool, format string, args ...any) {
	if !ok && c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checker) texts(most int, texts ...string) {
	for _, t := range texts {
		c.that(t == "" || printable(t, most), "%.40q is no name", t)
	}
}

func (c *checker) tally(kind string, t Tally) {
	for _, n := range []int64{t.OK, t.Checked.Bytes, t.Checked.Lost, t.Checked.Duplicated, t.Checked.Corrupted} {
		c.that(n >= 0 && n <= maxCount, "kind %.40q: a count of %d", kind, n)
	}
	c.that(t.Latency.Count() == t.OK, "kind %.40q: %d latencies of %d answers", kind, t.Latency.Count(), t.OK)
	c.that(len(t.Errors) <= maxCodes, "kind %.40q: more than %d codes", kind, maxCodes)
	for code, n := range t.Errors {
		c.that(n > 0 && n <= maxCount && printable(code, maxName), "kind %.40q: %d errors %.40q", kind, n, code)
	}
}

func (c *checker) process(p Process) {
	c.that(printable(p.Name, maxName), "a process is called %.40q", p.Name)
	c.series(p.CPU)
	c.series(p.Memory)
}

func (c *checker) series(s Series) {
	c.that(len(s) <= MaxSteps, "a series has more than %d values", MaxSteps)
	for _, v := range s {
		c.that(math.IsNaN(v) || v >= 0 && v <= float64(maxCount), "a series has a value of %g", v)
	}
}

// printable reports whether s is a name: not empty, not long, and safe on a
// terminal.
func printable(s string, most int) bool {
	if s == "" || len(s) > most || !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}
