package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/control/license"
	"trunkline/internal/fault"
	"trunkline/internal/metric"
)

type metrics struct {
	decisions      *prometheus.CounterVec
	throttled      prometheus.Counter
	hashes         prometheus.Histogram
	devices        *prometheus.GaugeVec
	silent         prometheus.Gauge
	busSilence     prometheus.Gauge
	watchers       prometheus.Gauge
	watchersLagged prometheus.Counter
	republishes    *prometheus.CounterVec
	presenceWrites prometheus.Counter
	connections    *prometheus.GaugeVec
	licenceEnd     prometheus.Gauge
	licenceValid   prometheus.Gauge
	pairs          prometheus.Gauge
	alarms         prometheus.Gauge
	overCapacity   prometheus.Gauge
	visits         prometheus.Gauge
	operations     *prometheus.SummaryVec
	transactions   *prometheus.HistogramVec
	storeErrors    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_control_decisions_total",
			Help: "Decisions by action (activate, sign_in, ...) and outcome (ok or the fault's code).",
		}, []string{"action", "outcome"}),
		throttled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trunkline_control_throttled_total",
			Help: "Passwords that were not looked at because too many wrong ones came before.",
		}),
		hashes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "trunkline_control_password_check_seconds",
			Help:    "Time to check one password, waiting for a turn included.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 10),
		}),
		devices: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "trunkline_control_devices",
			Help: "Devices by status: connected and disconnected of those that a relay has reported on since this process began; never_connected as counted in the database once a minute.",
		}, []string{"status"}),
		watchers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "trunkline_control_watchers",
			Help: "Open watches on device status.",
		}),
		watchersLagged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trunkline_control_watchers_lagged_total",
			Help: "Watches that were closed because their reader was too slow.",
		}),
		republishes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_control_republishes_total",
			Help: "Keys, revocations and handovers put on the bus again, by outcome (ok, error).",
		}, []string{"outcome"}),
		presenceWrites: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trunkline_control_presence_writes_total",
			Help: "Device status changes written to the database.",
		}),
	}
	m.connections = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "trunkline_control_connections",
		Help: "Connections of the installation, by what they are: licensed, used.",
	}, []string{"kind"})
	m.licenceEnd = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "trunkline_control_licence_expiry_timestamp_seconds",
		Help: "When the licence expires, in seconds since 1970; 0 if it does not. Fourteen days of grace follow.",
	})
	m.licenceValid = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "trunkline_control_licence_in_force",
		Help: "1 while devices may be activated and visits begun, in the days of grace too.",
	})
	counted := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "trunkline_control_" + name, Help: help + " Counted in the database once a minute, by each control node."})
	}
	m.silent = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "trunkline_control_devices_portal_silent", Help: "Devices that are connected and whose portals do not answer.",
	})
	m.busSilence = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "trunkline_control_bus_silence_seconds",
		Help: "How long ago control and NATS last reached each other, both ways: NATS took a word, and told all that is in its buckets.",
	})
	m.pairs = counted("pairs", "Hot-standby pairs of the installation.")
	m.alarms = counted("pair_alarms", "Pairs with an alarm: two active, or none.")
	m.overCapacity = counted("sites_over_capacity", "Sites without a connection of the licence: their visits are refused.")
	m.visits = counted("visits", "Visits that go on.")
	m.operations = prometheus.NewSummaryVec(prometheus.SummaryOpts{
		Name: "trunkline_control_database_operation_seconds",
		Help: "Transactions by what they are for. Count and sum only: the spread is in trunkline_control_database_transaction_seconds.",
	}, []string{"operation"})
	m.transactions = prometheus.NewHistogramVec(metric.Seconds("trunkline_control_database_transaction_seconds",
		"Transactions, waiting for a connection included, by kind: read or write.", .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10), []string{"kind"})
	m.storeErrors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trunkline_control_database_errors_total",
		Help: "Transactions that failed, by kind: unavailable (the database is away, locked or full), cancelled (who asked did not wait) or other.",
	}, []string{"kind"})
	for _, kind := range []string{"unavailable", "cancelled", "other"} {
		m.storeErrors.WithLabelValues(kind)
	}
	for _, s := range []Status{StatusConnected, StatusDisconnected, StatusNever} {
		m.devices.WithLabelValues(string(s))
	}
	// A rate needs the 0 before the first 1.
	for _, a := range []string{ActionActivate, ActionRenewPass, ActionSignIn, ActionVisitStart, ActionVisitOpen, ActionVisitEnd} {
		m.decisions.WithLabelValues(a, outcomeOK)
	}
	for _, o := range []string{"ok", "error"} {
		m.republishes.WithLabelValues(o)
	}
	for _, c := range []prometheus.Collector{
		m.decisions, m.throttled, m.hashes, m.devices, m.silent, m.busSilence, m.watchers, m.watchersLagged, m.republishes, m.presenceWrites, m.connections, m.licenceEnd, m.licenceValid,
		m.pairs, m.alarms, m.overCapacity, m.visits, m.operations, m.transactions, m.storeErrors,
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// transacted measures a transaction. A fault is an answer, and no failure.
func (m *metrics) transacted(operation, kind string, began time.Time, err error) {
	took := time.Since(began).Seconds()
	m.operations.WithLabelValues(operation).Observe(took)
	m.transactions.WithLabelValues(kind).Observe(took)
	var known *fault.Error
	switch {
	case err == nil, errors.As(err, &known), noRow(err), errors.Is(err, ErrTaken), errors.Is(err, ErrBadCursor):
	case errors.Is(err, ErrUnavailable):
		m.storeErrors.WithLabelValues("unavailable").Inc()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		m.storeErrors.WithLabelValues("cancelled").Inc()
	default:
		m.storeErrors.WithLabelValues("other").Inc()
	}
}

func (m *metrics) fleet(c FleetCounts) {
	m.pairs.Set(float64(c.Pairs))
	m.alarms.Set(float64(c.Alarms))
	m.overCapacity.Set(float64(c.OverCapacity))
	m.visits.Set(float64(c.Visits))
	m.devices.WithLabelValues(string(StatusNever)).Set(float64(c.NeverConnected))
}

func (m *metrics) licence(s Subscription, used int) {
	m.connections.WithLabelValues("licensed").Set(float64(s.Connections))
	m.connections.WithLabelValues("used").Set(float64(used))
	end, valid := 0.0, 1.0
	if !s.Expires.IsZero() {
		end = float64(s.Expires.Unix())
	}
	if s.Status == string(license.NotSubscribed) {
		valid = 0
	}
	m.licenceEnd.Set(end)
	m.licenceValid.Set(valid)
}

func (m *metrics) decided(action string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = string(fault.CodeOf(err))
	}
	m.decisions.WithLabelValues(action, outcome).Inc()
}
