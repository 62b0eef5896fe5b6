package edge

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/fault"
)

// allowance is what one device, or one account, may take of the relay. 0: as
// much as there is.
type allowance struct {
	streams int // at once
	opens   int // new streams a second
	bytes   int // a second, both ways together
}

// opensBurst is how much of its opens a page may ask for at once, and
// bytesBurst how much of its bytes.
const (
	opensBurst = 10 * time.Second
	bytesBurst = time.Second
)

// quotas are those of all devices, or of all accounts, spread over drawers so
// that no lock is everybody's. nil: nothing is limited.
type quotas struct {
	allowance
	of      string        // whose, for people
	maxDebt time.Duration // see quota.pay
	limited struct{ streams, opens, bytes prometheus.Counter }
	seed    maphash.Seed
	drawers [64]drawer
}

type drawer struct {
	mu    sync.Mutex // guards what follows
	of    map[string]*quota
	swept time.Time
}

// quota is what one of them has taken.
type quota struct {
	all    *quotas
	in     *drawer
	active int // exchanges; guarded by in.mu
	opens  bucket
	bytes  bucket
}

// newQuotas is nil if a allows everything.
func newQuotas(a allowance, of, label string, maxDebt time.Duration, limited *prometheus.CounterVec) *quotas {
	if a == (allowance{}) {
		return nil
	}
	q := &quotas{allowance: a, of: of, maxDebt: maxDebt, seed: maphash.MakeSeed()}
	q.limited.streams = limited.WithLabelValues(label + "_streams")
	q.limited.opens = limited.WithLabelValues(label + "_opens")
	q.limited.bytes = limited.WithLabelValues(label + "_bytes")
	for i := range q.drawers {
		q.drawers[i].of = make(map[string]*quota)
	}
	return q
}

// enter counts an exchange in, until its leave. Errors are faults.
func (a *quotas) enter(key string, now time.Time) (*quota, error) {
	if a == nil || key == "" {
		return nil, nil
	}
	d := &a.drawers[maphash.String(a.seed, key)%uint64(len(a.drawers))]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepLocked(now)
	q := d.of[key]
	if q == nil {
		q = &quota{all: a, in: d}
		d.of[key] = q
	}
	if a.streams > 0 && q.active >= a.streams {
		a.limited.streams.Inc()
		return nil, fault.New(fault.TooMany, "Too many requests to %s at once. Try again.", a.of).After(time.Second)
	}
	q.active++
	return q, nil
}

// sweepLocked forgets whoever has no debt and nothing running: a new quota
// would be the same.
func (d *drawer) sweepLocked(now time.Time) {
	if now.Sub(d.swept) < time.Second {
		return
	}
	d.swept = now
	for key, q := range d.of {
		if q.active == 0 && q.opens.isFull(now) && q.bytes.isFull(now) {
			delete(d.of, key)
		}
	}
}

func (q *quota) leave() {
	if q == nil {
		return
	}
	q.in.mu.Lock()
	defer q.in.mu.Unlock()
	q.active--
}

// open takes one new stream. Errors are faults.
func (q *quota) open(now time.Time) error {
	if q == nil || q.all.opens == 0 {
		return nil
	}
	wait := q.opens.try(time.Second/time.Duration(q.all.opens), opensBurst, now)
	if wait <= 0 {
		return nil
	}
	q.all.limited.opens.Inc()
	return fault.New(fault.TooMany, "Too many new connections to %s. Try again.", q.all.of).After(wait)
}

// pay takes n bytes, whether they are there or not, and says how long to wait
// until they would have been. Debts are bounded: many at once get more than
// their rate rather than a wait that some timeout takes for a standstill.
func (q *quota) pay(n int, now time.Time) time.Duration {
	if q == nil || q.all.bytes == 0 {
		return 0
	}
	cost := time.Duration(int64(n) * int64(time.Second) / int64(q.all.bytes))
	return q.bytes.take(cost, bytesBurst, q.all.maxDebt, now)
}

// bucket is a token bucket in one word: when it will be full again. (The
// generic cell rate algorithm, ITU-T I.371, without its limit.)
type bucket struct{ full atomic.Int64 } // instant

func (b *bucket) isFull(now time.Time) bool { return b.full.Load() <= instant(now) }

// take puts the bucket off by cost and says how long it will be empty.
func (b *bucket) take(cost, burst, maxDebt time.Duration, now time.Time) time.Duration {
	for {
		was, at := b.full.Load(), instant(now)
		full := min(max(was, at)+int64(cost), at+int64(burst+maxDebt))
		if b.full.CompareAndSwap(was, max(was, full)) {
			return time.Duration(full - at - int64(burst))
		}
	}
}

// try takes cost if it is there, and says how long until it is.
func (b *bucket) try(cost, burst time.Duration, now time.Time) time.Duration {
	for {
		was, at := b.full.Load(), instant(now)
		full := max(was, at) + int64(cost)
		if wait := time.Duration(full - at - max(int64(burst), int64(cost))); wait > 0 {
			return wait
		}
		if b.full.CompareAndSwap(was, full) {
			return 0
		}
	}
}
