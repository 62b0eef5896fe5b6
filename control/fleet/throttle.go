package fleet

import (
	"net/netip"
	"sync"
	"time"
)

// Throttle bounds wrong passwords. Right ones cost nothing, so that a
// technician can activate a lorry full of PBXs from one address.
type Throttle struct {
	Burst int           // wrong ones in a row, from one address or for one e-mail; default 10
	Every time.Duration // one more is allowed after this; default 30 s
}

func (t Throttle) withDefaults() Throttle {
	if t.Burst <= 0 {
		t.Burst = 10
	}
	if t.Every <= 0 {
		t.Every = 30 * time.Second
	}
	return t
}

// maxThrottled bounds the memory that strangers can make us spend. Beyond it
// the fullest bucket goes: it has least to say.
const maxThrottled = 16384

// throttle is a token bucket per key. A try takes a token before it is known
// to be wrong, so that tries in parallel are bounded too, and a right one
// puts it back; golang.org/x/time/rate cannot do the latter.
type throttle struct {
	Throttle

	mu      sync.Mutex
	buckets map[string]*bucket // of keys that are not full
}

type bucket struct {
	tokens float64
	at     time.Time // when tokens was right
	told   bool      // that this bucket is empty has been reported
}

func newThrottle(t Throttle) *throttle {
	return &throttle{Throttle: t.withDefaults(), buckets: make(map[string]*bucket)}
}

// take takes a token for each key, or none and gives the time to wait. first
// is true once per time that the keys run dry.
func (t *throttle) take(now time.Time, keys ...string) (wait time.Duration, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		b := t.bucketLocked(now, k)
		if b.tokens >= 1 {
			continue
		}
		first = first || !b.told
		b.told = true
		wait = max(wait, time.Duration((1-b.tokens)*float64(t.Every)))
	}
	if wait > 0 {
		return wait, first
	}
	for _, k := range keys {
		b := t.bucketLocked(now, k)
		b.tokens--
		b.told = false
	}
	return 0, false
}

// lacks is the time that take would have to wait, and takes nothing.
func (t *throttle) lacks(now time.Time, keys ...string) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if b := t.bucketLocked(now, k); b.tokens < 1 {
			wait = max(wait, time.Duration((1-b.tokens)*float64(t.Every)))
		}
	}
	return wait
}

// giveBack undoes a take.
func (t *throttle) giveBack(now time.Time, keys ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		b := t.bucketLocked(now, k)
		b.tokens++
		if b.tokens >= float64(t.Burst) {
			delete(t.buckets, k)
		}
	}
}

// bucketLocked finds or makes the bucket and brings it to now.
func (t *throttle) bucketLocked(now time.Time, key string) *bucket {
	b, ok := t.buckets[key]
	if !ok {
		if len(t.buckets) >= maxThrottled {
			t.shrinkLocked(now)
		}
		b = &bucket{tokens: float64(t.Burst), at: now}
		t.buckets[key] = b
		return b
	}
	t.refill(b, now)
	return b
}

func (t *throttle) refill(b *bucket, now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(float64(t.Burst), b.tokens+float64(d)/float64(t.Every))
		b.at = now
	}
}

// shrinkLocked drops full buckets, or if there is none the fullest it sees.
func (t *throttle) shrinkLocked(now time.Time) {
	fullest, most := "", -1.0
	for k, b := range t.buckets {
		t.refill(b, now)
		if b.tokens >= float64(t.Burst) {
			delete(t.buckets, k)
		} else if b.tokens > most {
			fullest, most = k, b.tokens
		}
	}
	if len(t.buckets) >= maxThrottled {
		delete(t.buckets, fullest)
	}
}

// addressKey is what one party can hold: an IPv4 address, or an IPv6 /64.
func addressKey(a netip.Addr) string {
	a = a.Unmap()
	if a.Is6() {
		p, err := a.WithZone("").Prefix(64)
		if err == nil {
			return "net " + p.String()
		}
	}
	return "net " + a.String()
}
