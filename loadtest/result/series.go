package result

import (
	"encoding/json"
	"math"
	"time"
)

// MaxSteps bounds every series.
const MaxSteps = 1200

// StepFor is the step for a run that is to last d: a second, or the least round
// time in which there are not more than MaxSteps.
func StepFor(d time.Duration) time.Duration {
	for _, s := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second} {
		if d <= MaxSteps*s {
			return s
		}
	}
	return max((d/MaxSteps).Truncate(time.Minute)+time.Minute, time.Minute)
}

// Series is a value for each step; NaN where there is none. In JSON that is
// null.
type Series []float64

// Set puts a value at a step, and NaN at those before that had none. A step
// outside of 0 to MaxSteps-1 is the nearest of these.
func (s *Series) Set(step int, v float64) {
	step = min(max(step, 0), MaxSteps-1)
	for len(*s) <= step {
		*s = append(*s, math.NaN())
	}
	(*s)[step] = v
}

// Last is the last value; NaN if there is none.
func (s Series) Last() float64 { return s.before(len(s)) }

// before is the last value before a step.
func (s Series) before(step int) float64 {
	for i := min(step, len(s)) - 1; i >= 0; i-- {
		if !math.IsNaN(s[i]) {
			return s[i]
		}
	}
	return math.NaN()
}

// Known are the values that there are.
func (s Series) Known() []float64 {
	var out []float64
	for _, v := range s {
		if !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}

func (s Series) MarshalJSON() ([]byte, error) {
	out := make([]*float64, len(s))
	for i := range s {
		if !math.IsNaN(s[i]) {
			out[i] = &s[i]
		}
	}
	return json.Marshal(out)
}

func (s *Series) UnmarshalJSON(b []byte) error {
	var in []*float64
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*s = make(Series, len(in))
	for i, v := range in {
		(*s)[i] = math.NaN()
		if v != nil {
			(*s)[i] = *v
		}
	}
	return nil
}
