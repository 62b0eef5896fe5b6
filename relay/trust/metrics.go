package trust

import (
	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/fault"
)

type metrics struct {
	visits    prometheus.Gauge
	handovers *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		visits: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "trunkline_relay_visits", Help: "Visits this relay has served within their idle time.",
		}),
		handovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_relay_handovers_total", Help: "Handovers presented, by outcome: ok or the fault's code.",
		}, []string{"code"}),
	}
	for _, c := range []string{"ok", string(fault.HandoverInvalid), string(fault.HandoverUsed), string(fault.Unavailable)} {
		m.handovers.WithLabelValues(c) // a rate needs the 0 before the first 1
	}
	reg.MustRegister(m.visits, m.handovers)
	return m
}
