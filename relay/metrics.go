package relay

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/certfile"
	"trunkline/internal/fault"
	"trunkline/internal/metric"
)

// metrics are the relay's as a whole; its parts have their own.
type metrics struct {
	unopen  *prometheus.CounterVec
	renewed prometheus.Gauge
	shaking struct{ tunnels, browsers prometheus.Observer }
}

func newMetrics(r *Relay) *metrics {
	const ns = "trunkline_relay_"
	reg := r.o.Registerer
	gauge := func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: ns + name, Help: help}, value))
	}
	shaking := prometheus.NewHistogramVec(metric.Seconds(ns+"handshake_seconds",
		"TLS handshakes that came about, waiting for a turn included, by whose: tunnel or browser.",
		.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10), []string{"kind"})
	m := &metrics{
		unopen: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: ns + "stream_failures_total", Help: "Streams to devices that the tunnel did not take, by code. What the agent refuses later is in trunkline_relay_edge_faults_total.",
		}, []string{"code"}),
		renewed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: ns + "lease_renewed_timestamp_seconds",
			Help: "When this relay last said on the bus that it lives, in seconds since 1970; 0: never yet.",
		}),
	}
	m.shaking.tunnels, m.shaking.browsers = shaking.WithLabelValues("tunnel"), shaking.WithLabelValues("browser")
	for _, c := range fault.Codes() {
		m.unopen.WithLabelValues(string(c)) // a rate needs the 0 before the first 1
	}
	reg.MustRegister(m.unopen, m.renewed, shaking, r.o.Bus.Metrics(), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: ns + "reports_dropped_total", Help: "Reports of visits that were never sent: too many waited for control.",
	}, func() float64 { return float64(r.reports.lost.Load()) }))
	gauge("draining", "1 while this relay drains.", func() float64 {
		if r.drains.begun() {
			return 1
		}
		return 0
	})
	gauge("routes", "Devices in the route table.", func() float64 { return float64(r.table.Len()) })
	gauge("routes_pending", "Own routes that the bus has not been told yet.", func() float64 { return float64(r.announce.Pending()) })
	gauge("reports_pending", "Reports of visits that wait for control; 10,000 at most.", func() float64 { return float64(len(r.reports.queue)) })
	r.o.Registerer.MustRegister(certfile.Expiry("relay", r.public.sites.GetCertificate, r.o.Zone))
	return m
}

// undialled counts a stream that could not be opened.
func (m *metrics) undialled(err error) {
	code := fault.ConnectionLost // the tunnel was ending
	var f *fault.Error
	if errors.As(err, &f) {
		code = f.Code
	}
	m.unopen.WithLabelValues(string(code)).Inc()
}

func (m *metrics) shook(agent bool, took time.Duration) {
	if agent {
		m.shaking.tunnels.Observe(took.Seconds())
		return
	}
	m.shaking.browsers.Observe(took.Seconds())
}
