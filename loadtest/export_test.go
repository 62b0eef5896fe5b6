package loadtest

import "time"

// Quantiles are a histogram's of ds.
func Quantiles(ds []time.Duration, qs ...float64) (out []time.Duration, longest time.Duration) {
	var h histogram
	for _, d := range ds {
		h.record(d)
	}
	for _, q := range qs {
		out = append(out, h.quantile(q))
	}
	return out, h.longest()
}
