package service

import (
	"bytes"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// Registry is a registry with the process's own metrics in it.
func Registry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	// Their successors are in a package that links database/sql, and the agent
	// is to have no SQL in it.
	//nolint:staticcheck // deprecated, see above
	reg.MustRegister(prometheus.NewGoCollector(), prometheus.NewProcessCollector(prometheus.ProcessCollectorOpts{}), buildInfo())
	return reg
}

// TextMetrics serves what g has in Prometheus's text format, and in no other:
// promhttp's handler has protobuf and OpenMetrics too, and a third of a megabyte.
func TextMetrics(g prometheus.Gatherer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		families, err := g.Gather()
		var b bytes.Buffer
		for _, f := range families {
			if err == nil {
				_, err = expfmt.MetricFamilyToText(&b, f)
			}
		}
		if err != nil {
			http.Error(w, "gather metrics: "+err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
		_, _ = w.Write(b.Bytes()) // who asked is gone if this fails
	})
}
