package peer

import (
	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// metrics: the label peer is a relay's name. There are as many as relays.
type metrics struct {
	sent, received prometheus.Counter
	opened, served prometheus.Counter
	failures       *prometheus.CounterVec // of streams, by code
	refused        *prometheus.CounterVec
	dials          *prometheus.CounterVec
}

const ns = "trunkline_relay_peer_"

func newMetrics(p *Peers) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: ns + name, Help: help})
		p.o.Registerer.MustRegister(c)
		return c
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + name, Help: help}, []string{label})
		p.o.Registerer.MustRegister(c)
		return c
	}
	m := &metrics{
		sent:     counter("sent_bytes_total", "Bytes sent to other relays, TLS aside."),
		received: counter("received_bytes_total", "Bytes received from other relays, TLS aside."),
		opened:   counter("streams_opened_total", "Streams that other relays took, for requests that came here."),
		served:   counter("streams_served_total", "Streams taken from other relays, to devices here."),
		failures: vec("stream_failures_total", "Streams that other relays did not take, by code.", "code"),
		refused:  vec("streams_refused_total", "Streams of other relays that were not taken here, by code.", "code"),
		dials:    vec("dial_failures_total", "Tries to connect to another relay that failed.", "peer"),
	}
	for _, c := range []fault.Code{fault.NotHere, fault.RelayAway, fault.RelayLost} {
		m.failures.WithLabelValues(string(c)) // a rate needs the 0 before the first 1
	}
	m.refused.WithLabelValues(string(fault.NotHere))
	p.o.Registerer.MustRegister(linkCollector{p}, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: ns + "certificate_expiry_timestamp_seconds",
		Help: "When the certificate that other relays know this one by expires, in seconds since 1970; 0: there is none yet.",
	}, func() float64 {
		if t := p.identity.expires(); !t.IsZero() {
			return float64(t.Unix())
		}
		return 0
	}))
	return m
}

func (m *metrics) failed(r id.Relay, count bool) {
	if count {
		m.dials.WithLabelValues(string(r)).Inc()
	}
}

func (m *metrics) forwarded(err error) {
	if err == nil {
		m.opened.Inc()
		return
	}
	m.failures.WithLabelValues(string(fault.CodeOf(err))).Inc()
}

var (
	linksDesc   = prometheus.NewDesc("trunkline_relay_peer_links", "Connections to another relay that are up; absent once its lease and the last of them have ended.", []string{"peer"}, nil)
	rttDesc     = prometheus.NewDesc(ns+"rtt_seconds", "Round trip to another relay, of its quickest link; absent while there is none.", []string{"peer"}, nil)
	streamsDesc = prometheus.NewDesc(ns+"streams", "Streams on the links to another relay, of both sides.", []string{"peer"}, nil)
)

// linkCollector asks the links at a scrape.
type linkCollector struct{ p *Peers }

func (c linkCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{linksDesc, rttDesc, streamsDesc} {
		out <- d
	}
}

func (c linkCollector) Collect(out chan<- prometheus.Metric) {
	c.p.each(func(q *peer) {
		q.mu.Lock()
		links, gone := append([]*link(nil), q.links...), q.gone
		q.mu.Unlock()
		if gone && len(links) == 0 {
			return // 0 links to a relay that is no more would be an alarm for ever
		}
		streams, rtt := 0, 0.0
		for _, l := range links {
			streams += l.mux.Len()
			if t := l.mux.RTT().Seconds(); t > 0 && (rtt == 0 || t < rtt) {
				rtt = t
			}
		}
		gauge := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, string(q.name))
		}
		gauge(linksDesc, float64(len(links)))
		gauge(streamsDesc, float64(streams))
		if rtt > 0 {
			gauge(rttDesc, rtt)
		}
	})
}
