package trace

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ exported, failed, dropped prometheus.Counter }

func newMetrics(plane string, r prometheus.Registerer) (*metrics, error) {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trunkline_" + plane + "_trace_spans_total",
		Help: "Spans of traced visits, by outcome (exported; failed: the collector did not take them; dropped: too many were waiting for it).",
	}, []string{"outcome"})
	if r != nil {
		if err := r.Register(spans); err != nil {
			return nil, err
		}
	}
	return &metrics{exported: spans.WithLabelValues("exported"), failed: spans.WithLabelValues("failed"), dropped: spans.WithLabelValues("dropped")}, nil
}
