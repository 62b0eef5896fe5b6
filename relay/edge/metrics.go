package edge

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/metric"
)

// metrics of the edge. No label names a site, a device or a visit.
type metrics struct {
	classes   [6]prometheus.Counter // by the status's first digit
	faults    *prometheus.CounterVec
	firstByte prometheus.Histogram
	in, out   prometheus.Counter
	active    prometheus.Gauge
	upgraded  prometheus.Gauge
	conns     prometheus.Gauge
	idle      prometheus.Gauge
	opened    prometheus.Counter
	driven    prometheus.Counter
	retries   prometheus.Counter
	limited   *prometheus.CounterVec
	refused   struct{ full, untrusted prometheus.Counter }
	h2        *prometheus.CounterVec

	mu      sync.Mutex // guards reasons
	reasons map[string]struct{}
}

// maxReasons is more than x/net has; a browser must not be able to make more.
const maxReasons = 100

// h2Error counts what is wrong with an HTTP/2 connection or stream.
func (m *metrics) h2Error(reason string) {
	m.mu.Lock()
	if _, ok := m.reasons[reason]; !ok && len(m.reasons) >= maxReasons {
		reason = "other"
	}
	m.reasons[reason] = struct{}{}
	m.mu.Unlock()
	m.h2.WithLabelValues(reason).Inc()
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	const ns = "trunkline_relay_edge_"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: ns + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: ns + name, Help: help})
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + "requests_total", Help: "Requests by class of their answer's status."}, []string{"class"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + "bytes_total", Help: "Body bytes, in from and out to browsers."}, []string{"direction"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + "connections_refused_total", Help: "Browsers' connections closed unserved, by reason."}, []string{"reason"})
	m := &metrics{
		h2:        prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + "http2_errors_total", Help: "HTTP/2 connections and streams refused or ended for what the browser sent, by reason."}, []string{"reason"}),
		reasons:   make(map[string]struct{}),
		limited:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + "limited_total", Help: "By limit: requests refused beyond those of streams and opens, and pieces of 64 KiB beyond those of bytes, which wait."}, []string{"limit"}),
		faults:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + "faults_total", Help: "Requests that failed, by code."}, []string{"code"}),
		firstByte: prometheus.NewHistogram(metric.Seconds(ns+"first_byte_seconds", "From the request's head to the head of the portal's answer.", .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)),
		in:        bytes.WithLabelValues("in"), out: bytes.WithLabelValues("out"),
		active:   gauge("requests_active", "Requests being served, without upgraded connections' idle life."),
		upgraded: gauge("websockets_active", "Upgraded connections."),
		conns:    gauge("connections", "Browsers' connections."),
		idle:     gauge("streams_idle", "Streams to devices kept for a next request."),
		opened:   counter("streams_opened_total", "Streams opened to devices."),
		driven:   counter("requests_driven_total", "Of the requests, those that event loops served whole, waking no goroutine: short answers over HTTP/1.1 on streams that were there."),
		retries:  counter("stream_retries_total", "Requests sent again because a kept stream had ended, or the tunnel was lost."),
	}
	for _, c := range append(fault.Codes(), codeGone) {
		m.faults.WithLabelValues(string(c)) // a rate needs the 0 before the first 1
	}
	for i := range m.classes {
		m.classes[i] = requests.WithLabelValues([]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}[i])
	}
	m.refused.full, m.refused.untrusted = refused.WithLabelValues("full"), refused.WithLabelValues("untrusted")
	for _, c := range []prometheus.Collector{requests, bytes, refused, m.faults, m.firstByte, m.active, m.upgraded, m.conns, m.idle, m.opened, m.driven, m.retries, m.limited, m.h2} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// exemplarFrom is how long an answer takes that is worth looking up in the log.
// Below it nothing is allocated.
const exemplarFrom = time.Second

// answered takes the time to a portal's answer. That of a slow one leads to its
// visit, whose events the log has.
func (m *metrics) answered(took time.Duration, v id.Visit) {
	if took < exemplarFrom {
		m.firstByte.Observe(took.Seconds())
		return
	}
	m.firstByte.(prometheus.ExemplarObserver).ObserveWithExemplar(took.Seconds(), prometheus.Labels{"visit": string(v)})
}

func (m *metrics) done(status int, code fault.Code) {
	class := 0
	if status >= 100 && status <= 599 {
		class = status / 100
	}
	m.classes[class].Inc()
	if code != "" {
		m.faults.WithLabelValues(string(code)).Inc()
	}
}
