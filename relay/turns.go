package relay

import (
	"slices"
	"sync"
)

// maxFresh agents may wait for their first turn: what is had in a fraction of
// a second. Who is turned away comes again in a second or two.
const maxFresh = 1024

// turns share out the processors to what tunnels' cryptography costs, all but
// one of them: however many agents come at once, that one is the browsers'.
//
// Who is past TLS goes first, since what has been spent on it is lost if it
// gives up. Of the others the newest goes first: the older ones may have given
// up already, and serving in order would serve only those when there are too
// many.
type turns struct {
	mu    sync.Mutex // guards what follows
	free  int
	past  []chan bool // the longest waiting first
	fresh []chan bool
}

func newTurns(n int) *turns { return &turns{free: n} }

// take waits for the turn of an agent that is past TLS.
func (t *turns) take() {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return
	}
	c := make(chan bool, 1)
	t.past = append(t.past, c)
	t.mu.Unlock()
	<-c // soon: a turn is less than a millisecond
}

// takeFirst waits for the first turn of an agent. It is false if newer ones
// have pushed it out, or done was closed.
func (t *turns) takeFirst(done <-chan struct{}) bool {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return true
	}
	if len(t.fresh) == maxFresh {
		t.pushOutLocked()
	}
	c := make(chan bool, 1)
	t.fresh = append(t.fresh, c)
	t.mu.Unlock()
	select {
	case ok := <-c:
		return ok
	case <-done:
	}
	t.mu.Lock()
	if i := slices.Index(t.fresh, c); i >= 0 {
		t.fresh = slices.Delete(t.fresh, i, i+1)
		t.mu.Unlock()
		return false
	}
	t.mu.Unlock()
	if <-c { // it came at the same moment
		t.give()
	}
	return false
}

// pushOut turns away the agent that has waited longest for its first turn, if
// any does.
func (t *turns) pushOut() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pushOutLocked()
}

func (t *turns) pushOutLocked() bool {
	if len(t.fresh) == 0 {
		return false
	}
	t.fresh[0] <- false
	t.fresh = slices.Delete(t.fresh, 0, 1)
	return true
}

// give ends a turn.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch last := len(t.fresh) - 1; {
	case len(t.past) > 0:
		t.past[0] <- true
		t.past = slices.Delete(t.past, 0, 1)
	case last >= 0:
		t.fresh[last] <- true
		t.fresh = slices.Delete(t.fresh, last, last+1)
	default:
		t.free++
	}
}

// waiting is how many agents wait for their first turn.
func (t *turns) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.fresh)
}
