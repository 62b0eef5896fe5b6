package fleet

import (
	"github.com/prometheus/client_golang/prometheus"

	"trunkline/control/license"
	"trunkline/internal/fault"
)

type metrics struct {
	decisions      *prometheus.CounterVec
	throttled      prometheus.Counter
	hashes         prometheus.Histogram
	devices        *prometheus.GaugeVec
	watchers       prometheus.Gauge
	watchersLagged prometheus.Counter
	republishes    *prometheus.CounterVec
	presenceWrites prometheus.Counter
	connections    *prometheus.GaugeVec
	licenceEnd     prometheus.Gauge
	licenceValid   prometheus.Gauge
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
			Help: "Devices that a relay has reported on since this process began, by status.",
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
	for _, c := range []prometheus.Collector{m.decisions, m.throttled, m.hashes, m.devices, m.watchers, m.watchersLagged, m.republishes, m.presenceWrites, m.connections, m.licenceEnd, m.licenceValid} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
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
