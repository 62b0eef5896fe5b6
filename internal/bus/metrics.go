package bus

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/certfile"
	"trunkline/internal/fault"
	"trunkline/internal/metric"
)

// metrics are what a Bus counts itself; the rest is asked of NATS at a scrape.
type metrics struct {
	losses   prometheus.Counter
	restarts *prometheus.CounterVec
	remade   *prometheus.CounterVec
	calls    *prometheus.HistogramVec
	failures *prometheus.CounterVec
	renewals prometheus.Counter // that failed
}

func newMetrics() *metrics {
	m := &metrics{
		losses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trunkline_bus_connection_losses_total", Help: "Connections to NATS that were lost.",
		}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_bus_watch_restarts_total",
			Help: "Watches of a bucket that began anew: the connection was lost, or the bucket came back empty.",
		}, []string{"bucket"}),
		remade: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_bus_buckets_remade_total",
			Help: "Buckets that control made anew because the servers of NATS had chosen no leader for them.",
		}, []string{"bucket"}),
		calls: prometheus.NewHistogramVec(metric.Seconds("trunkline_bus_call_seconds",
			"Calls to another plane that were answered, by subject.", .001, .005, .025, .1, .5, 2.5, 10), []string{"subject"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_bus_call_failures_total", Help: "Calls to another plane that failed, by subject and code; unavailable: no answer.",
		}, []string{"subject", "code"}),
		renewals: certfile.Failures("bus"),
	}
	for _, name := range buckets() {
		m.restarts.WithLabelValues(name)
		m.remade.WithLabelValues(name)
	}
	m.calls.WithLabelValues(SubjectVisitEvent)
	m.failures.WithLabelValues(SubjectVisitEvent, string(fault.Unavailable))
	return m
}

// called counts a call. A code comes from our own planes, which know them all.
func (m *metrics) called(subject string, began time.Time, err error) {
	if err != nil {
		m.failures.WithLabelValues(subject, string(fault.CodeOf(err))).Inc()
		return
	}
	m.calls.WithLabelValues(subject).Observe(time.Since(began).Seconds())
}

var (
	connectedDesc  = prometheus.NewDesc("trunkline_bus_connected", "1 while NATS can be reached.", nil, nil)
	messagesDesc   = prometheus.NewDesc("trunkline_bus_messages_total", "Messages from (in) and to (out) NATS.", []string{"direction"}, nil)
	bytesDesc      = prometheus.NewDesc("trunkline_bus_bytes_total", "Bytes of messages from (in) and to (out) NATS.", []string{"direction"}, nil)
	clientsDesc    = prometheus.NewDesc("trunkline_bus_server_connections", "Connections to the NATS server in this process.", nil, nil)
	memoryDesc     = prometheus.NewDesc("trunkline_bus_server_memory_bytes", "Memory of the buckets of the NATS server in this process.", nil, nil)
	memoryMaxDesc  = prometheus.NewDesc("trunkline_bus_server_memory_max_bytes", "Memory that its buckets may take.", nil, nil)
	slowReaderDesc = prometheus.NewDesc("trunkline_bus_server_slow_consumers_total", "Connections that the NATS server in this process cut because they did not read.", nil, nil)
)

// collector gives a Bus's metrics.
type collector struct{ b *Bus }

// Metrics are those of the connection, and of the server if it is embedded.
func (b *Bus) Metrics() prometheus.Collector { return collector{b} }

func (c collector) Describe(out chan<- *prometheus.Desc) {
	m := c.b.metrics
	for _, own := range []prometheus.Collector{m.losses, m.restarts, m.remade, m.calls, m.failures, m.renewals} {
		own.Describe(out)
	}
	for _, d := range []*prometheus.Desc{connectedDesc, messagesDesc, bytesDesc} {
		out <- d
	}
	if c.b.server != nil {
		for _, d := range []*prometheus.Desc{clientsDesc, memoryDesc, memoryMaxDesc, slowReaderDesc} {
			out <- d
		}
	}
}

func (c collector) Collect(out chan<- prometheus.Metric) {
	m := c.b.metrics
	for _, own := range []prometheus.Collector{m.losses, m.restarts, m.remade, m.calls, m.failures, m.renewals} {
		own.Collect(out)
	}
	gauge := func(d *prometheus.Desc, v float64) { out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	up := 0.0
	if c.b.Connected() {
		up = 1
	}
	gauge(connectedDesc, up)
	s := c.b.nc.Stats()
	counter(messagesDesc, s.InMsgs, "in")
	counter(messagesDesc, s.OutMsgs, "out")
	counter(bytesDesc, s.InBytes, "in")
	counter(bytesDesc, s.OutBytes, "out")
	if c.b.server == nil {
		return
	}
	srv := c.b.server.server
	gauge(clientsDesc, float64(srv.NumClients()))
	counter(slowReaderDesc, uint64(srv.NumSlowConsumers()))
	if js, err := srv.Jsz(&server.JSzOptions{}); err == nil { // it errs while the server stops
		gauge(memoryDesc, float64(js.Memory))
		gauge(memoryMaxDesc, maxMemory)
	}
}
