package uplink

import (
	"sync"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// An agent takes 60 control messages at once and 5 a second; what is said of
// visits leaves room for the others.
const (
	wordsAtOnce  = 24
	wordsASecond = 2
	maxWords     = 256 // that wait; beyond it the oldest are dropped
)

// word is what an agent is to be told of a visit.
type word struct {
	visit tunnel.Visit
	over  fault.Code // "": it goes on
}

// words wait to be told. They cost nothing until there is one.
type words struct {
	mu      sync.Mutex
	queue   []word
	paid    time.Duration // since the tunnel is up: until when words have been said at wordsASecond
	telling bool
	closed  bool
	wg      sync.WaitGroup // of tell
}

// VisitStarted has the agent of d told that somebody visits it. It never
// blocks.
func (u *Uplink) VisitStarted(d id.Device, v tunnel.Visit) { u.say(d, word{visit: v}) }

// VisitEnded has the agent of d told that a visit is over.
func (u *Uplink) VisitEnded(d id.Device, v id.Visit, code fault.Code) {
	u.say(d, word{visit: tunnel.Visit{ID: v}, over: code})
}

func (u *Uplink) say(d id.Device, w word) {
	l, ok := u.links.Load(d)
	if !ok {
		return // it is told when it is back
	}
	if l.second.Load() {
		return // its visits go through the first tunnel; once it is that itself, it is told
	}
	l.words.mu.Lock()
	defer l.words.mu.Unlock()
	if l.words.queue = append(l.words.queue, w); len(l.words.queue) > maxWords {
		l.words.queue = l.words.queue[1:]
	}
	if l.words.telling || l.words.closed {
		return
	}
	l.words.telling = true
	l.words.wg.Go(l.tell)
}

// tell ends when all is told, or with the tunnel.
func (l *link) tell() {
	for {
		w, wait, ok := l.words.next(time.Since(l.since))
		if !ok || !l.pause(wait) {
			return
		}
		// Full is a matter of milliseconds: the socket is slow, or has to wait
		// for other streams' data.
		for fault.CodeOf(l.send(w)) == fault.Unavailable {
			if !l.pause(100 * time.Millisecond) {
				return
			}
		}
	}
}

// send errs with fault.Unavailable if it is worth another try.
func (l *link) send(w word) error {
	if w.over != "" {
		return l.relay.SendVisitEnd(w.visit.ID, w.over)
	}
	return l.relay.SendVisit(w.visit)
}

// pause is false if the tunnel ends meanwhile.
func (l *link) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.relay.Done():
		return false
	}
}

// close is called when the tunnel is gone, and waits for who still tells it.
func (w *words) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wg.Wait()
}

// next is a word, and how long it has to wait. The pace is that of a rate.Limiter,
// which a tunnel that was visited once would keep.
func (w *words) next(now time.Duration) (next word, wait time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.queue, w.telling = nil, false
		return word{}, 0, false
	}
	next = w.queue[0]
	w.queue = w.queue[1:]
	w.paid = max(w.paid, now) + time.Second/wordsASecond
	return next, w.paid - now - wordsAtOnce*time.Second/wordsASecond, true
}
