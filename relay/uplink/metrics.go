package uplink

import (
	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/fault"
	"trunkline/internal/metric"
)

type metrics struct {
	accepted prometheus.Counter
	replaced prometheus.Counter
	promoted prometheus.Counter
	home     prometheus.Counter
	refused  *prometheus.CounterVec
	ended    *prometheus.CounterVec
	lives    prometheus.Histogram
	probes   *prometheus.CounterVec
}

func newMetrics(o Options, tunnels, seconds, away, limit, windows func() float64) *metrics {
	gauge := func(name, help string, value func() float64) {
		o.Registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "trunkline_relay_" + name, Help: help}, value))
	}
	gauge("tunnels", "Tunnels held now, second ones too.", tunnels)
	o.Registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "trunkline_relay_second_tunnels",
		Help: "Of these, those that are kept idle for when their device's first tunnel, at another relay, is lost.",
	}, seconds))
	gauge("tunnels_away", "Of these, those whose account wishes them in another region than this relay's.", away)
	gauge("tunnels_max", "Tunnels that may be held at once: tunnels.max.", limit)
	gauge("windows_bytes", "By how much streams' windows have grown beyond their first 256 KiB.", windows)
	gauge("windows_max_bytes", "By how much they may: tunnels.windows.", func() float64 { return float64(o.Windows) })
	m := &metrics{
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trunkline_relay_tunnels_accepted_total", Help: "Tunnels admitted.",
		}),
		replaced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trunkline_relay_tunnels_replaced_total",
			Help: "Tunnels closed because their device opened a newer one here. A steady rate means two agents with one key.",
		}),
		promoted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trunkline_relay_second_tunnels_promoted_total",
			Help: "Second tunnels that became their device's first one: it was lost, or its relay asked to move.",
		}),
		home: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trunkline_relay_tunnels_sent_home_total",
			Help: "Tunnels whose agents were told that relays of the region they should be in have room.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_relay_tunnels_refused_total", Help: "Hellos refused, by the fault's code.",
		}, []string{"code"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_relay_tunnels_ended_total", Help: "Tunnels ended, by the reason's code.",
		}, []string{"code"}),
		lives: prometheus.NewHistogram(metric.Seconds("trunkline_relay_tunnel_seconds",
			"How long tunnels lasted that have ended.", 10, 60, 600, 3600, 6*3600, 24*3600, 7*24*3600)),
	}
	m.probes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trunkline_relay_probes_total",
		Help: "Requests that the relay itself made to portals to see whether they answer: ok, unknown (the tunnel ended or was busy), or the portal's fault.",
	}, []string{"result"})
	for _, r := range []string{"ok", "unknown", string(fault.PortalRefused), string(fault.PortalTimeout), string(fault.PortalReset), string(fault.PortalGarbage)} {
		m.probes.WithLabelValues(r)
	}
	o.Registerer.MustRegister(m.probes, m.accepted, m.replaced, m.promoted, m.home, m.refused, m.ended, m.lives)
	for _, c := range fault.Codes() {
		m.refused.WithLabelValues(string(c)) // a rate needs the 0 before the first 1
		m.ended.WithLabelValues(string(c))
	}
	return m
}
