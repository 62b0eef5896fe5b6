package peer

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/id"
)

// keepAlive pings, doubts the other relay when nothing comes back, and closes the
// connection when nothing has come for long.
func (l *link) keepAlive() (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	stopped, silent, every := false, 0, time.Duration(l.peers.ping.Load())
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(every, func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		if silent++; l.heard.Swap(false) {
			silent = 0
		}
		if silent >= silentFor {
			l.peers.o.Log.Warn("a relay does not answer", zap.String("peer", string(l.relay)), zap.Duration("silent", silentFor*every))
			_ = l.raw.Close()
			return
		}
		if silent >= doubtAfter {
			l.doubted.Store(true)
			l.abandon()
		}
		l.mux.Ping()
		timer.Reset(every)
	})
	l.mux.Ping()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// abandon ends the streams of a link in doubt that need not wait for it: those
// whose device is elsewhere by now, and those of requests that can be repeated,
// if the device has another way in. All others wait: it may be that the relay has
// only much to do.
func (l *link) abandon() {
	l.mu.Lock()
	all := make([]*Stream, 0, len(l.streams))
	for s := range l.streams {
		all = append(all, s)
	}
	l.mu.Unlock()
	for _, s := range all {
		switch {
		case l.peers.o.Holder(s.device) != l.relay:
		case s.repeatable.Load() && l.peers.o.Besides(s.device, l.relay):
		default:
			continue
		}
		s.abandoned.Store(true)
		s.Stream.Reset()
	}
}

// Answers reports whether there is a link to r that is not in doubt.
func (p *Peers) Answers(r id.Relay) bool {
	q := p.find(r)
	if q == nil {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.links {
		if !l.ending.Load() && !l.doubted.Load() {
			return true
		}
	}
	return false
}
