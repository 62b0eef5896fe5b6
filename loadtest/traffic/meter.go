package traffic

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/loadtest/result"
)

const resultOK = "ok"

// Meter counts what became of each operation, for the result and as metrics.
type Meter struct {
	// Lost is told of each operation that failed, by many goroutines at once; nil:
	// they are only counted. It is set before there is any load.
	Lost func(Loss)
	// Closed is told of each WebSocket that the other side has ended, and whether it
	// said before that it restarts; nil: nobody wants to know.
	Closed func(restart bool)

	recorder *result.Recorder
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	sockets  prometheus.Gauge
	bytes    *prometheus.CounterVec

	mu    sync.Mutex
	kinds map[string]*kind
}

// NewMeter registers the metrics. No label names a device.
func NewMeter(recorder *result.Recorder, reg prometheus.Registerer) *Meter {
	m := &Meter{
		recorder: recorder, kinds: make(map[string]*kind),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_loadtest_requests_total",
			Help: "Operations that were due, by kind of traffic and result: ok, or the code of what went wrong.",
		}, []string{"kind", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "trunkline_loadtest_request_seconds",
			Help: "From when an operation was due to its end; of successful ones.",
			// 0.25 ms to 65 s, for those who scrape no native histograms.
			Buckets:                     prometheus.ExponentialBuckets(0.00025, 4, 10),
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		}, []string{"kind"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "trunkline_loadtest_in_flight_requests",
			Help: "Operations that wait for their end, by kind of traffic.",
		}, []string{"kind"}),
		sockets: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "trunkline_loadtest_websockets", Help: "WebSockets that are open.",
		}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_loadtest_checked_bytes_total",
			Help: "Bytes that were checked, by what became of them: good, lost, duplicated, corrupted.",
		}, []string{"result"}),
	}
	reg.MustRegister(m.requests, m.seconds, m.inFlight, m.sockets, m.bytes)
	return m
}

// kind is what is counted of one kind of traffic.
type kind struct {
	m        *Meter
	name     string
	recorder *result.KindRecorder
	good     prometheus.Counter
	seconds  prometheus.Observer
	inFlight prometheus.Gauge
}

func (m *Meter) kind(name string) *kind {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.kinds[name]
	if k == nil {
		k = &kind{
			m: m, name: name, recorder: m.recorder.Kind(name), good: m.requests.WithLabelValues(name, resultOK),
			seconds: m.seconds.WithLabelValues(name), inFlight: m.inFlight.WithLabelValues(name),
		}
		m.kinds[name] = k
	}
	return k
}

// measure does one operation and counts what became of it, unless hard ended
// before it did.
func (k *kind) measure(hard context.Context, patience time.Duration, due time.Time, s Site, do operation) {
	k.inFlight.Inc()
	defer k.inFlight.Dec()
	k.recorder.Sent(1)
	ctx, cancel := context.WithTimeout(hard, patience)
	defer cancel()
	found, why := do(ctx, s)
	bad := found.Lost + found.Duplicated + found.Corrupted
	if hard.Err() != nil && why.code != "" && bad == 0 {
		return // it was broken off by us, and stays in flight
	}
	defer k.recorder.Sent(-1)
	if bad > 0 {
		why.code = codeBytes
	}
	if why.code != "" {
		k.check(due, found)
		k.failed(due, s, why)
		return
	}
	k.ok(due, time.Since(due), found.Bytes)
}

func (k *kind) ok(due time.Time, took time.Duration, bytes int64) {
	k.recorder.OK(due, took, bytes)
	k.good.Inc()
	k.seconds.Observe(took.Seconds())
	k.m.bytes.WithLabelValues("good").Add(float64(bytes))
}

func (k *kind) failed(due time.Time, s Site, why failure) { k.lost(due, due, s, why) }

// lost is failed of what hangs on something that was begun at another time.
func (k *kind) lost(due, begun time.Time, s Site, why failure) {
	k.recorder.Failed(due, why.code)
	k.m.requests.WithLabelValues(k.name, why.code).Inc()
	if k.m.Lost != nil {
		k.m.Lost(Loss{Kind: k.name, Due: due, Begun: begun, Seen: time.Now(), Open: why.open, Content: s.Content, Entry: why.entry, Code: why.code, Answer: why.answer})
	}
}

func (k *kind) check(due time.Time, c outcome) {
	k.recorder.Check(due, c)
	for name, n := range map[string]int64{"good": c.Bytes, "lost": c.Lost, "duplicated": c.Duplicated, "corrupted": c.Corrupted} {
		k.m.bytes.WithLabelValues(name).Add(float64(n))
	}
}
