package main

import (
	"fmt"
	"slices"
)

// summary is what a row says of several measurements.
type summary struct{ median, low, high float64 }

func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return summary{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// spread is the half of the range in per cent of the median.
func (s summary) spread() string {
	if s.median == 0 {
		return ""
	}
	return fmt.Sprintf("± %.0f%%", 50*(s.high-s.low)/s.median)
}

func values(samples []sample) []float64 {
	var out []float64
	for _, s := range samples {
		out = append(out, s.value)
	}
	return out
}

// ratios compares what was measured in the same round, so that a slow minute of
// the machine's cancels out.
func ratios(a, b []sample) []float64 {
	var out []float64
	for i := range min(len(a), len(b)) {
		if b[i].value > 0 {
			out = append(out, a[i].value/b[i].value)
		}
	}
	return out
}

// extras are the medians of what the samples have beside their values.
func extras(samples []sample) map[string]float64 {
	all := make(map[string][]float64)
	for _, s := range samples {
		for unit, v := range s.extra {
			all[unit] = append(all[unit], v)
		}
	}
	out := make(map[string]float64)
	for unit, v := range all {
		out[unit] = summarize(v).median
	}
	return out
}
