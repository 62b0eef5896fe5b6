package coding

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	coded    *prometheus.CounterVec
	from, to prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{coded: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trunkline_agent_compressed_answers_total",
		Help: "Answers of the portal that were compressed, by coding; none is those that found no room (too many at a time).",
	}, []string{"coding"})}
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trunkline_agent_compression_bytes_total",
		Help: "Bytes of the bodies that were compressed, before and after: the difference never took the uplink.",
	}, []string{"side"})
	reg.MustRegister(m.coded, bytes)
	m.from, m.to = bytes.WithLabelValues("before"), bytes.WithLabelValues("after")
	return m
}

func (m *metrics) done(before, after int64) {
	m.from.Add(float64(before))
	m.to.Add(float64(after))
}
