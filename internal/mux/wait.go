package mux

import (
	"runtime"
	"sync"
	"time"
)

func gosched() { runtime.Gosched() }

// waiter is a goroutine that waits for a stream. A timer exists only
// meanwhile, and both come from a pool.
type waiter struct {
	woken chan struct{}
	timer *time.Timer
}

var waiters = sync.Pool{New: func() any {
	w := &waiter{woken: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
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

// waitLocked frees mu until whoever is at has been woken, and reports false
// once it is by; the zero time is never.
func waitLocked(mu *sync.Mutex, at **waiter, by time.Time) bool {
	var d time.Duration
	if !by.IsZero() {
		if d = time.Until(by); d <= 0 {
			return false
		}
	}
	w := waiters.Get().(*waiter)
	*at = w
	mu.Unlock()
	if d == 0 {
		<-w.woken
	} else {
		w.timer.Reset(d)
		select {
		case <-w.woken:
		case <-w.timer.C:
		}
		w.timer.Stop()
	}
	mu.Lock()
	*at = nil
	select {
	case <-w.woken: // nobody knows it any more
	default:
	}
	waiters.Put(w)
	return true
}
