package edge

import (
	"context"
	"fmt"
	"time"
)

// Retire makes every answer from now on the last one of its connection, on
// those that come later too: browsers go on wherever they are sent. It may be
// called once.
func (e *Edge) Retire() {
	if e.retiring.Swap(true) {
		panic("BUG: edge retired twice")
	}
	e.h2.goAway()
}

// Drain ends an edge that has been retired and to which nobody connects any
// more: idle connections at once, others after the request they are at,
// upgraded ones (WebSockets, with 1012) in a pause of theirs when ctx ends, and
// the rest after Farewell. It returns an error if it had to cut any.
func (e *Edge) Drain(ctx context.Context) error {
	empty := e.startDrain()
	defer e.pool.close()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	close(e.goAway)
	select {
	case <-empty:
		return nil
	case <-time.After(Farewell):
	}
	close(e.cut) // who waits for a portal does not see its browser's connection end
	n := 0
	e.each(func(c *conn) { n++; c.kill() })
	<-empty
	return fmt.Errorf("edge: cut %d connections at the end of the drain", n)
}

const (
	// Farewell is how long upgraded connections take to end, one that never pauses
	// too, and then the second after which x/net ends a connection of HTTP/2 that
	// has nothing under way when it learns that it must leave.
	Farewell = lastWords + 1500*time.Millisecond
	// lastWords is how long a farewell waits for a pause, in which nothing has moved
	// for so long that nothing that was asked is without its answer.
	lastWords = 2 * time.Second
	pause     = 500 * time.Millisecond
)

// startDrain may be called once.
func (e *Edge) startDrain() <-chan struct{} {
	e.mu.Lock()
	if e.draining.Swap(true) {
		panic("BUG: edge drained twice")
	}
	empty := make(chan struct{})
	if len(e.conns) == 0 {
		close(empty)
	} else {
		e.empty = empty
	}
	e.mu.Unlock()
	e.h2.goAway() // those too that came after Retire and asked for nothing
	e.each((*conn).interruptIfKept)
	// Who has just connected is about to ask, and would take an end for an answer.
	time.AfterFunc(lingerFor, func() { e.each((*conn).interruptIfIdle) })
	return empty
}

// Stages of a connection's exchange.
const (
	stageNew int32 = iota // no request yet
	stageIdle
	stageAsked
	stageAnswering
	stageUpgraded
)

// Count is what browsers have under way.
type Count struct {
	Requests  int // that wait for their answer to begin
	Downloads int // answers that are on their way
	Upgraded  int // WebSockets, for the most part
}

// Count looks at every connection: it is for people.
func (e *Edge) Count() Count {
	var n Count
	e.each(func(c *conn) {
		switch c.stage.Load() {
		case stageAsked:
			n.Requests++
		case stageAnswering:
			n.Downloads++
		case stageUpgraded:
			n.Upgraded++
		}
	})
	return n
}

// answers notes that the browser is about to be sent the answer's first byte.
func (x *exchange) answers() {
	if !x.begun {
		x.begun = true
		x.c.stage.Store(stageAnswering)
	}
}

// each calls f for every connection, not holding the lock.
func (e *Edge) each(f func(*conn)) {
	e.mu.Lock()
	all := make([]*conn, 0, len(e.conns))
	for c := range e.conns {
		all = append(all, c)
	}
	e.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}
