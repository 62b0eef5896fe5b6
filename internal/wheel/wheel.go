// Package wheel is timers for deadlines that may be a little late, of which
// there are tens of thousands: setting, moving and stopping one is a few
// pointers, and allocates nothing. Pings and idle times are such; what has to
// be on time is time.Timer's.
//
// It is a hashed timing wheel: G. Varghese and T. Lauck, "Hashed and
// Hierarchical Timing Wheels", 1987, scheme 6.
package wheel

import (
	"sync"
	"time"
)

// slots make a turn of the wheel: a timer that is further away is passed over
// once for each. It is a minute at ticks of a quarter of a second.
const slots = 256

// Wheel calls timers, late by a tick at most and never early. It runs only
// while one is set. Safe for concurrent use.
type Wheel struct {
	tick  time.Duration
	start time.Time

	mu     sync.Mutex
	waker  *time.Timer
	armed  bool // waker is, or turn runs
	set    int  // timers in ring
	passed int64
	ring   [slots]list // by the tick, modulo slots
	due    list        // about to be called
}

// Timer calls Do once after each Set. It belongs to one Wheel; its zero value
// is ready.
type Timer struct {
	Do func() // must not block: the others wait

	at         int64 // the tick
	in         *list // nil: not set
	next, prev *Timer
}

func New(tick time.Duration) *Wheel { return &Wheel{tick: tick, start: time.Now()} }

// Set makes t due after d, whether it was set before or not.
func (w *Wheel) Set(t *Timer, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeLocked(t)
	now := time.Since(w.start)
	if w.set == 0 && !w.armed {
		w.passed = int64(now / w.tick) // there was nothing to see on the way
	}
	t.at = max(int64((now+max(d, 0)+w.tick-1)/w.tick), w.passed+1)
	w.ring[t.at%slots].add(t)
	w.set++
	w.armLocked(now)
}

// Stop says whether t was set. If not, its Do may be running.
func (w *Wheel) Stop(t *Timer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.removeLocked(t)
}

func (w *Wheel) removeLocked(t *Timer) bool {
	if t.in == nil {
		return false
	}
	if t.in != &w.due {
		w.set--
	}
	t.in.remove(t)
	return true
}

func (w *Wheel) armLocked(now time.Duration) {
	if w.armed || w.set == 0 {
		return
	}
	w.armed = true
	wait := time.Duration(w.passed+1)*w.tick - now
	if w.waker == nil {
		w.waker = time.AfterFunc(wait, w.turn)
		return
	}
	w.waker.Reset(wait)
}

// turn calls what is due, and sees to the next tick.
func (w *Wheel) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advanceLocked(int64(time.Since(w.start) / w.tick))
	for t := w.due.first; t != nil; t = w.due.first {
		w.due.remove(t)
		w.call(t)
	}
	w.armed = false
	w.armLocked(time.Since(w.start))
}

func (w *Wheel) call(t *Timer) {
	w.mu.Unlock()
	defer w.mu.Lock()
	t.Do()
}

// advanceLocked moves to due what is until now. After a pause of more than a
// turn each slot is looked at once.
func (w *Wheel) advanceLocked(now int64) {
	for range min(now-w.passed, slots) {
		w.passed++
		l := &w.ring[w.passed%slots]
		for t := l.first; t != nil; {
			next := t.next
			if t.at <= now {
				l.remove(t)
				w.set--
				w.due.add(t)
			}
			t = next
		}
	}
	w.passed = now
}
