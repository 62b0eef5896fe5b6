// Package result is what a load test saw: the document that a run writes, that
// several generators' are merged into, and that reports and comparisons read.
// It makes no load and draws nothing.
//
// All series share one clock: element i is of the time from i to i+1 steps
// after Began. A request belongs to the step in which it was due, not to the one
// in which its answer came, so that a stall shows where it happened. What was
// due before Began is the warm-up, which is kept apart.
package result

import (
	"time"
)

// Schema is the version of the document. It changes when a reader of the last
// one would misread it.
const Schema = 1

// Result is a whole run.
type Result struct {
	Schema   int      `json:"schema"`
	Tool     Tool     `json:"tool"`
	Machine  Machine  `json:"machine"`
	Scenario Scenario `json:"scenario"`

	Began       time.Time `json:"began"` // after the warm-up
	Ended       time.Time `json:"ended"`
	WarmUp      float64   `json:"warm_up_seconds"`
	Step        float64   `json:"step_seconds"` // of every series
	Interrupted string    `json:"interrupted,omitzero"`

	Kinds      map[string]*Kind `json:"kinds"`
	Tunnels    Series           `json:"tunnels"` // up
	Relays     []Process        `json:"relays,omitzero"`
	Generators []Generator      `json:"generators,omitzero"`
	Events     []Event          `json:"events,omitzero"`
	Thresholds []Outcome        `json:"thresholds,omitzero"`
}

// Tool is the program that made the load.
type Tool struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

// Scenario is what was to be done.
type Scenario struct {
	Name string `json:"name"`
	Text string `json:"text"` // YAML, with its comments
}

// Kind is one kind of traffic, for example "browse".
type Kind struct {
	WarmUp Tally   `json:"warm_up"`
	Steps  []Tally `json:"steps"`
	// InFlight were due and had no answer yet when the run, or a generator, was
	// cut off. They are in no tally.
	InFlight int64 `json:"in_flight,omitzero"`
}

// Process is a process that was watched.
type Process struct {
	Name   string `json:"name"`
	CPU    Series `json:"cpu_cores"`
	Memory Series `json:"memory_bytes"` // resident
}

// Generator is a process that made load.
type Generator struct {
	Process
	Devices int `json:"devices"`
	// Lost says why nothing was heard of it after a time; empty if it came to
	// its end. What it had reported until then is in the result.
	Lost string `json:"lost,omitzero"`
}

// Event is something that was done to the installation, or that happened to it.
type Event struct {
	At   float64 `json:"at_seconds"` // after Began; before it: negative
	Text string  `json:"text"`
	// Disturbs: tunnels are expected to go, and are waited for (see Recovery).
	Disturbs bool `json:"disturbs,omitzero"`
}

// Seconds is how long was measured.
func (r *Result) Seconds() float64 { return r.Ended.Sub(r.Began).Seconds() }

// Total is all that was measured of a kind; of every kind, if it is empty.
func (r *Result) Total(kind string) Tally {
	var out Tally
	for name, k := range r.Kinds {
		if kind != "" && name != kind {
			continue
		}
		for _, s := range k.Steps {
			out.Add(s)
		}
	}
	return out
}

// Passed reports whether every threshold held.
func (r *Result) Passed() bool {
	for _, t := range r.Thresholds {
		if !t.Passed {
			return false
		}
	}
	return true
}
