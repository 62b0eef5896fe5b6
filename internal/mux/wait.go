package mux

import (
	"runtime"
	"sync"
	"time"
)

func gosched() { runtime.Gosched() }

// waiter is a goroutine that waits for a stream. They come from a pool, and a
// timer that was set stays so: most waits end long before any deadline, and
// setting and stopping one for each costs more than to be woken now and then
// in vain, in this wait or in another one's.
type waiter struct {
	woken chan struct{}
	timer *time.Timer // wakes
	due   time.Time   // when it does so next, or did last
}

var waiters = sync.Pool{New: func() any {
	w := &waiter{woken: make(chan struct{}, 1)}
	w.timer = time.AfterFunc(time.Hour, w.wake)
	w.timer.Stop()
	return w
}}

// wake may be called on nil.
func (w *waiter) wake() {
	if w == nil {
		return
	}
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// arm has the waiter woken at by, if not before.
func (w *waiter) arm(by, now time.Time) {
	if w.due.After(now) && !w.due.After(by) {
		return
	}
	w.due = by
	w.timer.Reset(by.Sub(now))
}

// waitLocked frees mu until whoever is at has been woken, be it for nothing.
// It reports false if it is by; the zero time is never.
func waitLocked(mu *sync.Mutex, at **waiter, by time.Time) bool {
	var now time.Time
	if !by.IsZero() {
		if now = time.Now(); !now.Before(by) {
			return false
		}
	}
	w := waiters.Get().(*waiter)
	if !by.IsZero() {
		w.arm(by, now)
	}
	*at = w
	mu.Unlock()
	<-w.woken
	mu.Lock()
	*at = nil
	select {
	case <-w.woken: // nobody knows it any more
	default:
	}
	waiters.Put(w)
	return true
}
