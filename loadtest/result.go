package loadtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// Result is what a load came to. Times are in milliseconds, and count from when
// a request was due; only successful requests have one.
type Result struct {
	Devices  int     `json:"devices"`
	Seconds  float64 `json:"seconds"`  // in which requests were sent
	Rate     float64 `json:"rate"`     // wanted, requests a second
	Requests int64   `json:"requests"` // that were due
	OK       int64   `json:"ok"`
	Errors   int64   `json:"errors"`
	// ByResult counts the errors: status_<code>, timeout, connection,
	// wrong_size, unsent.
	ByResult map[string]int64 `json:"by_result,omitempty"`
	Bytes    int64            `json:"bytes"` // of answers' bodies
	P50      float64          `json:"p50_ms"`
	P90      float64          `json:"p90_ms"`
	P99      float64          `json:"p99_ms"`
	Max      float64          `json:"max_ms"`
}

func (r *run) result(due int64, sending time.Duration) Result {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	out := Result{
		Devices: len(r.visitors), Seconds: sending.Seconds(), Rate: r.t.o.Rate, Requests: due, Bytes: r.bytes.Load(),
		P50: ms(r.latency.quantile(0.50)), P90: ms(r.latency.quantile(0.90)), P99: ms(r.latency.quantile(0.99)), Max: ms(r.latency.longest()),
	}
	out.OK, out.Errors = r.counts()
	out.ByResult = maps.Clone(r.results)
	delete(out.ByResult, resultOK)
	return out
}

// Print writes the result as a table.
func (r Result) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	row("devices", "%d", r.Devices)
	row("requests", "%d in %.1f s: %.1f/s, wanted %.1f/s", r.Requests, r.Seconds, float64(r.Requests)/max(r.Seconds, 1e-9), r.Rate)
	row("ok", "%d", r.OK)
	row("errors", "%d", r.Errors)
	for _, result := range slices.Sorted(maps.Keys(r.ByResult)) {
		row("  "+result, "%d", r.ByResult[result])
	}
	row("bytes", "%d", r.Bytes)
	if r.OK > 0 {
		row("latency", "p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms", r.P50, r.P90, r.P99, r.Max)
	}
	return t.Flush()
}

func round(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(10 * time.Microsecond)
}
