package store

import (
	"database/sql"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	connsDesc    = prometheus.NewDesc("trunkline_control_database_connections", "Connections to the database by pool and state: in_use or idle. With PostgreSQL write is the only pool.", []string{"pool", "state"}, nil)
	connsMaxDesc = prometheus.NewDesc("trunkline_control_database_connections_max", "Connections to the database that there may be, by pool.", []string{"pool"}, nil)
	waitsDesc    = prometheus.NewDesc("trunkline_control_database_waits_total", "Transactions that waited for a connection of their pool.", []string{"pool"}, nil)
	waitTimeDesc = prometheus.NewDesc("trunkline_control_database_wait_seconds_total", "How long they waited, together.", []string{"pool"}, nil)
	retriesDesc  = prometheus.NewDesc("trunkline_control_database_retries_total", "Transactions that PostgreSQL had run again for the sake of others. With SQLite none are.", nil, nil)
)

// collector gives a Store's metrics.
type collector struct{ s *Store }

// Metrics are those of the connection pools.
func (s *Store) Metrics() prometheus.Collector { return collector{s} }

func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connsDesc, connsMaxDesc, waitsDesc, waitTimeDesc, retriesDesc} {
		out <- d
	}
}

func (c collector) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(retriesDesc, prometheus.CounterValue, float64(c.s.retries.Load()))
	pool(out, "write", c.s.write.Stats())
	if !c.s.postgres {
		pool(out, "read", c.s.read.Stats())
	}
}

func pool(out chan<- prometheus.Metric, name string, s sql.DBStats) {
	give := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, t, v, append([]string{name}, labels...)...)
	}
	give(connsDesc, prometheus.GaugeValue, float64(s.InUse), "in_use")
	give(connsDesc, prometheus.GaugeValue, float64(s.Idle), "idle")
	give(connsMaxDesc, prometheus.GaugeValue, float64(s.MaxOpenConnections))
	give(waitsDesc, prometheus.CounterValue, float64(s.WaitCount))
	give(waitTimeDesc, prometheus.CounterValue, s.WaitDuration.Seconds())
}
