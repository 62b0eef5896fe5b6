package result

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Threshold is a condition on a result:
//
//	browse.p99 <= 800ms
//	error_ratio < 0.1%
//	lost == 0
//	recovered(95%) <= 30s
//
// A metric is of one kind of traffic, named before a dot, or of all. Values have
// the unit of their metric: us, ms, s, m; KiB, MiB, GiB; % or none.
type Threshold struct {
	Kind   string // empty: all of them
	Metric string
	Share  float64 // 0 to 1, of metrics that take one
	Op     string
	Value  float64 // seconds, bytes, ratio or number
}

// Outcome is what became of a threshold.
type Outcome struct {
	Threshold string `json:"threshold"`
	Passed    bool   `json:"passed"`
	Got       string `json:"got"` // in the unit of the metric, or why there is no value
}

const maxThreshold = 200 // bytes

var thresholdForm = regexp.MustCompile(`^(?:([a-z][a-z0-9_-]*)\.)?([a-z][a-z0-9_]*(?:\.9+)?)(?:\(([0-9.]+)%\))? *(<=|>=|==|<|>) *([0-9.]+) *([A-Za-z%]*)$`)

// ParseThreshold reads one condition.
func ParseThreshold(text string) (Threshold, error) {
	fail := func(format string, args ...any) (Threshold, error) {
		return Threshold{}, fmt.Errorf("threshold %.80q: "+format, append([]any{text}, args...)...)
	}
	if len(text) > maxThreshold {
		return fail("longer than %d bytes", maxThreshold)
	}
	m := thresholdForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return fail("write it like: browse.p99 <= 800ms")
	}
	t := Threshold{Kind: m[1], Metric: m[2], Op: m[4]}
	metric, ok := metrics[t.Metric]
	if !ok {
		return fail("no metric is called %q; there are %s", t.Metric, strings.Join(metricNames(), ", "))
	}
	if t.Kind != "" && !metric.perKind {
		return fail("%s is of the whole run: write it without %q", t.Metric, t.Kind+".")
	}
	if metric.share != (m[3] != "") {
		if metric.share {
			return fail("say of which share: %s(95%%)", t.Metric)
		}
		return fail("%s takes no share", t.Metric)
	}
	var err error
	if metric.share {
		if t.Share, err = strconv.ParseFloat(m[3], 64); err != nil || t.Share > 100 {
			return fail("a share is 0%% to 100%%")
		}
		t.Share /= 100
	}
	factor, ok := metric.dimension.units[m[6]]
	if !ok {
		return fail("%s is %s", t.Metric, metric.dimension.says)
	}
	if t.Value, err = strconv.ParseFloat(m[5], 64); err != nil || t.Value > 1e15 {
		return fail("%s is no number", m[5])
	}
	t.Value *= factor
	return t, nil
}

// String is the same condition in its plainest form.
func (t Threshold) String() string {
	var b strings.Builder
	if t.Kind != "" {
		b.WriteString(t.Kind + ".")
	}
	b.WriteString(t.Metric)
	if metrics[t.Metric].share {
		b.WriteString("(" + strconv.FormatFloat(100*t.Share, 'f', -1, 64) + "%)")
	}
	return b.String() + " " + t.Op + " " + metrics[t.Metric].dimension.format(t.Value)
}

// Judge says whether the condition holds. Where there is no value it does not:
// a test that measured nothing has not passed.
func (t Threshold) Judge(r *Result) Outcome {
	o := Outcome{Threshold: t.String()}
	if t.Kind != "" && r.Kinds[t.Kind] == nil {
		o.Got = "there was no such traffic"
		return o
	}
	metric := metrics[t.Metric]
	got, why := metric.of(r, t)
	if why != "" {
		o.Got = why
		return o
	}
	o.Got, o.Passed = metric.dimension.format(got), compare(got, t.Op, t.Value)
	return o
}

func compare(got float64, op string, want float64) bool {
	switch op {
	case "<=":
		return got <= want
	case ">=":
		return got >= want
	case "<":
		return got < want
	case ">":
		return got > want
	case "==":
		return math.Abs(got-want) <= 1e-9*math.Abs(want) // of numbers that went through a unit
	}
	panic("BUG: no such comparison: " + op)
}
