package loadtest

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
	inFlight prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_loadtest_requests_total",
			Help: "Requests that were due, by result: ok, status_<code>, or why there was no whole answer.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "trunkline_loadtest_request_seconds",
			Help: "From when a request was due to the end of its answer; of successful ones.",
			// 0.25 ms to 8 s.
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16),
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "trunkline_loadtest_in_flight_requests",
			Help: "Requests that wait for the end of their answer.",
		}),
	}
	reg.MustRegister(m.requests, m.seconds, m.inFlight)
	return m
}
