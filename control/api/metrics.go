package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/metric"
)

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer, s *streams) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_control_http_requests_total",
			Help: "API requests by route and class of status; 4xx with status 499 are clients that left.",
		}, []string{"route", "class"}),
		duration: prometheus.NewHistogramVec(metric.Seconds("trunkline_control_http_request_duration_seconds",
			"Time to answer API requests by route; event streams are not in it.", .001, .005, .025, .1, .25, .5, 1, 2.5, 10, 30), []string{"route"}),
	}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "trunkline_control_http_event_streams",
		Help: "Open event streams of the API.",
	}, func() float64 { return float64(s.open()) })
	reg.MustRegister(m.requests, m.duration, open)
	return m
}

func (m *metrics) observe(route string, status int, took time.Duration, streamed bool) {
	m.requests.WithLabelValues(route, strconv.Itoa(status/100)+"xx").Inc()
	if !streamed {
		m.duration.WithLabelValues(route).Observe(took.Seconds())
	}
}
