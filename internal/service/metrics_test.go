package service_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"trunkline/internal/service"
)

// It says what promhttp would say to somebody who asks for text.
func TestTextMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bytes_total", Help: "Bytes,\nboth \\ ways."}, []string{"direction"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "took_seconds", Buckets: []float64{.1, 1}})
	pause := prometheus.NewSummary(prometheus.SummaryOpts{Name: "pause_seconds", Objectives: map[float64]float64{.5: .1}})
	reg.MustRegister(bytes, took, pause)
	bytes.WithLabelValues(`"up"`).Add(1e9)
	bytes.WithLabelValues("down").Add(.25)
	took.Observe(.5)
	pause.Observe(2)
	get := func(h http.Handler) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
		return w
	}
	got, want := get(service.TextMetrics(reg)), get(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	if got.Body.String() != want.Body.String() || !strings.HasPrefix(want.Header().Get("Content-Type"), got.Header().Get("Content-Type")) || got.Body.Len() == 0 {
		t.Errorf("%v\n%swant %v\n%s", got.Header(), got.Body, want.Header(), want.Body)
	}

	reg.MustRegister(broken{})
	if got := get(service.TextMetrics(reg)); got.Code != http.StatusInternalServerError {
		t.Errorf("a metric that cannot be gathered: %d", got.Code)
	}
}

type broken struct{}

var brokenDesc = prometheus.NewDesc("broken", "Never.", nil, nil)

func (broken) Describe(c chan<- *prometheus.Desc) { c <- brokenDesc }

func (broken) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.NewInvalidMetric(brokenDesc, errors.New("as meant"))
}
