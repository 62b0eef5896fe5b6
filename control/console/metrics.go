package console

import (
	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/metric"
)

type metrics struct {
	requests *prometheus.CounterVec
	duration prometheus.Histogram
	streams  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_control_console_requests_total",
			Help: "Requests to the web console by route and class of status.",
		}, []string{"route", "status"}),
		duration: prometheus.NewHistogram(metric.Seconds("trunkline_control_console_request_duration_seconds",
			"Time to answer requests to the web console; pages that are updated live are not in it.", .001, .005, .025, .1, .25, .5, 1, 2.5, 10, 30)),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "trunkline_control_console_live_streams",
			Help: "Pages that are open and updated by server-sent events.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.duration, m.streams)
	}
	return m
}
