package uplink

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	accepted prometheus.Counter
	replaced prometheus.Counter
	refused  *prometheus.CounterVec
	ended    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, tunnels func() float64) *metrics {
	m := &metrics{
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trunkline_relay_tunnels_accepted_total", Help: "Tunnels admitted.",
		}),
		replaced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trunkline_relay_tunnels_replaced_total",
			Help: "Tunnels closed because their device opened a newer one here. A steady rate means two agents with one key.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_relay_tunnels_refused_total", Help: "Hellos refused, by the fault's code.",
		}, []string{"code"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_relay_tunnels_ended_total", Help: "Tunnels ended, by the reason's code.",
		}, []string{"code"}),
	}
	reg.MustRegister(m.accepted, m.replaced, m.refused, m.ended, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "trunkline_relay_tunnels", Help: "Tunnels held now.",
	}, tunnels))
	return m
}
