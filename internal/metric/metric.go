// Package metric is how every plane measures time: one choice of buckets, so
// that one panel can show any of them.
package metric

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A native histogram's buckets are 10 % wide, as many as it needs and no more
// than nativeBuckets; if there would be more it begins anew, once an hour at
// most, or else makes them wider.
const (
	nativeFactor  = 1.1
	nativeBuckets = 160
	nativeReset   = time.Hour
)

// Seconds are the options of a histogram of durations: a native histogram
// (prometheus.io/docs/specs/native_histograms) for a Prometheus that scrapes
// those, with classic buckets of the given upper bounds beside it for one that
// does not. Dashboards and rules use the classic ones, which every Prometheus
// has.
func Seconds(name, help string, buckets ...float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: nativeFactor, NativeHistogramMaxBucketNumber: nativeBuckets, NativeHistogramMinResetDuration: nativeReset,
	}
}
