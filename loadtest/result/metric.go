package result

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// metric is something that a threshold can be of. of tells it, or why there is
// none.
type metric struct {
	dimension      *dimension
	perKind, share bool
	of             func(*Result, Threshold) (v float64, why string)
}

const nothing = "nothing was measured"

var metrics = map[string]metric{
	"p50":         latency(func(h Histogram) time.Duration { return h.Quantile(0.5) }),
	"p90":         latency(func(h Histogram) time.Duration { return h.Quantile(0.9) }),
	"p99":         latency(func(h Histogram) time.Duration { return h.Quantile(0.99) }),
	"p99.9":       latency(func(h Histogram) time.Duration { return h.Quantile(0.999) }),
	"max":         latency(func(h Histogram) time.Duration { return h.Quantile(1) }),
	"mean":        latency(Histogram.Mean),
	"ok":          tally(inNumber, func(t Tally) int64 { return t.OK }),
	"errors":      tally(inNumber, Tally.Failed),
	"checked":     tally(inBytes, func(t Tally) int64 { return t.Checked.Bytes }),
	"lost":        tally(inBytes, func(t Tally) int64 { return t.Checked.Lost }),
	"duplicated":  tally(inBytes, func(t Tally) int64 { return t.Checked.Duplicated }),
	"corrupted":   tally(inBytes, func(t Tally) int64 { return t.Checked.Corrupted }),
	"error_ratio": {dimension: inShare, perKind: true, of: errorRatio},
	"rate":        {dimension: inNumber, perKind: true, of: rate},

	"recovered":           {dimension: inSeconds, share: true, of: recovered},
	"tunnels_lowest":      {dimension: inNumber, of: func(r *Result, _ Threshold) (float64, string) { return least(r.Tunnels) }},
	"tunnels_last":        {dimension: inNumber, of: func(r *Result, _ Threshold) (float64, string) { return last(r.Tunnels) }},
	"relay_cpu":           {dimension: inNumber, of: func(r *Result, _ Threshold) (float64, string) { return highestOf(r.Relays, Process.MeanCPU) }},
	"relay_memory":        {dimension: inBytes, of: func(r *Result, _ Threshold) (float64, string) { return highestOf(r.Relays, Process.PeakMemory) }},
	"relay_memory_growth": {dimension: inShare, of: func(r *Result, _ Threshold) (float64, string) { return highestOf(r.Relays, memoryGrowth) }},
	"generators_lost":     {dimension: inNumber, of: generatorsLost},
}

func metricNames() []string { return slices.Sorted(maps.Keys(metrics)) }

// dimension is what values of a metric are measured in.
type dimension struct {
	says   string
	units  map[string]float64 // what each is in the base unit
	format func(float64) string
}

var (
	inSeconds = &dimension{
		"a time: write 800ms or 2.5s", map[string]float64{"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60},
		func(v float64) string {
			switch {
			case v < 1e-3:
				return plain(v*1e6) + "us"
			case v < 1:
				return plain(v*1e3) + "ms"
			}
			return plain(v) + "s"
		},
	}
	inBytes = &dimension{
		"of bytes: write 512MiB, or 0", map[string]float64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30},
		func(v float64) string {
			for _, u := range []struct {
				name string
				n    float64
			}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
				if v >= u.n {
					return plain(v/u.n) + u.name
				}
			}
			return plain(v) + "B"
		},
	}
	inShare  = &dimension{"a ratio: write 0.1% or 0.001", map[string]float64{"": 1, "%": 0.01}, func(v float64) string { return plain(100*v) + "%" }}
	inNumber = &dimension{"a number without a unit", map[string]float64{"": 1}, plain}
)

// plain has six digits, and no exponent.
func plain(v float64) string {
	s, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	if err != nil {
		return fmt.Sprint(v)
	}
	return strconv.FormatFloat(s, 'f', -1, 64)
}

func latency(of func(Histogram) time.Duration) metric {
	return metric{dimension: inSeconds, perKind: true, of: func(r *Result, t Threshold) (float64, string) {
		h := r.Total(t.Kind).Latency
		if h.Count() == 0 {
			return 0, "nothing was answered"
		}
		return of(h).Seconds(), ""
	}}
}

func tally(d *dimension, of func(Tally) int64) metric {
	return metric{dimension: d, perKind: true, of: func(r *Result, t Threshold) (float64, string) {
		total := r.Total(t.Kind)
		if total.Count() == 0 && total.Checked == (Checked{}) {
			return 0, nothing
		}
		return float64(of(total)), ""
	}}
}

func errorRatio(r *Result, t Threshold) (float64, string) {
	total := r.Total(t.Kind)
	if total.Count() == 0 {
		return 0, nothing
	}
	return total.ErrorRatio(), ""
}

// rate is of good answers a second.
func rate(r *Result, t Threshold) (float64, string) {
	if r.Seconds() <= 0 {
		return 0, nothing
	}
	return float64(r.Total(t.Kind).OK) / r.Seconds(), ""
}

// recovered is the longest of all events that disturb.
func recovered(r *Result, t Threshold) (float64, string) {
	longest, any := 0.0, false
	for _, e := range r.Events {
		if !e.Disturbs {
			continue
		}
		took, ok := r.Recovery(e, t.Share)
		if !ok {
			return 0, fmt.Sprintf("not after: %.200s", e.Text)
		}
		longest, any = max(longest, took), true
	}
	if !any {
		return 0, "nothing disturbed"
	}
	return longest, ""
}

// Recovery is the seconds from an event until at least a share, 0 to 1, of the
// tunnels that were up before it are up, for good or until the next event that
// disturbs. It is exact to a step, and rather too long than too short. False if
// that did not come, or if no tunnel was up before.
func (r *Result) Recovery(e Event, share float64) (float64, bool) {
	at := int(math.Floor(e.At / r.Step))
	was := r.Tunnels.before(at)
	if at < 0 || math.IsNaN(was) || was == 0 {
		return 0, false
	}
	end := len(r.Tunnels)
	for _, next := range r.Events {
		if next.Disturbs && next.At > e.At {
			end = min(end, int(next.At/r.Step))
		}
	}
	back := -1 // the first step of those without a gap until the end
	for i := end - 1; i > at && !(r.Tunnels[i] < share*was); i-- {
		if !math.IsNaN(r.Tunnels[i]) {
			back = i
		}
	}
	if back < 0 {
		return 0, false
	}
	return float64(back+1)*r.Step - e.At, true
}

func least(s Series) (float64, string) {
	known := s.Known()
	if len(known) == 0 {
		return 0, nothing
	}
	return slices.Min(known), ""
}

func last(s Series) (float64, string) {
	if v := s.Last(); !math.IsNaN(v) {
		return v, ""
	}
	return 0, nothing
}

// highestOf is of the process that has most.
func highestOf(ps []Process, of func(Process) (float64, bool)) (float64, string) {
	most, any := 0.0, false
	for _, p := range ps {
		if v, ok := of(p); ok {
			if !any || v > most {
				most = v
			}
			any = true
		}
	}
	if !any {
		return 0, "no relay was watched for long enough"
	}
	return most, ""
}

// MeanCPU is in cores; false if it was not watched.
func (p Process) MeanCPU() (float64, bool) { return mean(p.CPU.Known()) }

// PeakMemory is in bytes; false if it was not watched.
func (p Process) PeakMemory() (float64, bool) {
	known := p.Memory.Known()
	if len(known) == 0 {
		return 0, false
	}
	return slices.Max(known), true
}

// MemoryGrowth is what was held on average in the second quarter and in the
// last: the first is of the start. False if there is too little of them.
func (p Process) MemoryGrowth() (before, after float64, ok bool) {
	known := p.Memory.Known()
	q := len(known) / 4
	if q == 0 {
		return 0, 0, false
	}
	before, _ = mean(known[q : 2*q])
	after, _ = mean(known[len(known)-q:])
	return before, after, before > 0
}

func memoryGrowth(p Process) (float64, bool) {
	before, after, ok := p.MemoryGrowth()
	return max(after/before-1, 0), ok
}

func mean(vs []float64) (float64, bool) {
	if len(vs) == 0 {
		return 0, false
	}
	sum := 0.0
	for _, v := range vs {
		sum += v
	}
	return sum / float64(len(vs)), true
}

func generatorsLost(r *Result, _ Threshold) (float64, string) {
	n := 0
	for _, g := range r.Generators {
		if g.Lost != "" {
			n++
		}
	}
	return float64(n), ""
}
