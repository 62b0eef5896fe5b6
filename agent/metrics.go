package agent

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/fault"
)

// metrics are the agent's. Codes come from outside: one that we do not know
// is counted as "other".
type metrics struct {
	up       prometheus.Gauge
	second   prometheus.Gauge
	dials    *prometheus.CounterVec
	ends     *prometheus.CounterVec
	renewals *prometheus.CounterVec
	streams  prometheus.Gauge
	opens    *prometheus.CounterVec
	bytesIn  prometheus.Counter
	bytesOut prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "trunkline_agent_" + name, Help: help})
	}
	counters := func(name, label, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "trunkline_agent_" + name, Help: help}, []string{label})
	}
	m := &metrics{
		up:       gauge("tunnels", "Tunnels that are up, without the second one. 2 or more only while moving to another relay."),
		second:   gauge("second_tunnels", "1 while an idle tunnel at another relay is kept for when the first one is lost."),
		dials:    counters("dial_failures_total", "code", "Attempts that brought no tunnel."),
		ends:     counters("tunnel_ends_total", "code", "Tunnels that ended."),
		renewals: counters("pass_renewals_total", "result", "Requests for a new pass; result is ok or a code."),
		streams:  gauge("streams", "Streams in service."),
		opens:    counters("streams_total", "result", "Streams opened by relays; result is ok or a code."),
	}
	bytes := counters("stream_bytes_total", "direction", "Bytes carried between relays and the portal; in is towards the portal.")
	reg.MustRegister(m.up, m.second, m.dials, m.ends, m.renewals, m.streams, m.opens, bytes)
	m.bytesIn, m.bytesOut = bytes.WithLabelValues("in"), bytes.WithLabelValues("out")
	return m
}

func (m *metrics) failed(err error)  { m.dials.WithLabelValues(code(err)).Inc() }
func (m *metrics) ended(err error)   { m.ends.WithLabelValues(code(err)).Inc() }
func (m *metrics) renewed(err error) { m.renewals.WithLabelValues(result(err)).Inc() }

func (m *metrics) opened(err *fault.Error) {
	if err == nil {
		m.opens.WithLabelValues("ok").Inc()
		return
	}
	m.opens.WithLabelValues(code(err)).Inc()
}

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return code(err)
}

// code is a fault's, "unreachable" for what is none.
func code(err error) string {
	switch c := fault.CodeOf(err); {
	case c == fault.Internal:
		return "unreachable"
	case slices.Contains(fault.Codes(), c):
		return string(c)
	}
	return "other"
}
