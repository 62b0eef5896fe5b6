package edge

import (
	"crypto/tls"
	"sync/atomic"
	"time"

	"trunkline/internal/evtls"
)

// A lane is how a connection is served while its requests are simple: a GET
// whose answer is short (docs/adr/0032). Event loops do all of it. The one that
// watches the browser's socket reads the request and hands it to the tunnel;
// the one that reads the tunnel writes the answer to the browser's socket. No
// goroutine is woken, which costs more than all the rest of a small request.
//
// What may have to wait is left to the connection's own goroutine (conn.wait): a
// stream that must be opened, an answer that is long or late, a browser that
// does not read. It gives the connection back when it is done. Every other kind
// of request is fasthttp's, on that goroutine too.
type lane struct {
	raw   *evtls.Conn
	tls   *tls.Conn // nil: the connection is plain
	edge  *Edge
	on    atomic.Bool // a loop knows the connection
	state atomic.Int32
	news  atomic.Bool // the stream has something that nobody has looked at
	jobs  chan job    // for the goroutine: one at most
	idle  time.Time   // since when there is no request

	buf     []byte // of the request
	answer  answer
	refusal error // of jobRefuse

	// Of a request that fasthttp reads.
	line  int   // the length of its first line, without the end; 0: it is not known
	given int64 // bytes that fasthttp has been given since it began
	back  bool  // this was the last request that it shall have
}

// Who has the connection. All others leave it alone.
const (
	laneIdle      int32 = iota // nobody: it waits for a request
	laneReading                // its loop
	laneWaiting                // nobody: it waits for an answer
	laneAnswering              // who heard that there is one
	laneAway                   // its goroutine
)

// job is what is left to the goroutine.
type job int

const (
	jobLeave   job = iota // what has been read is not for loops
	jobDescend            // a request that has been let in
	jobServe              // one that needs a stream, or has to wait
	jobRefuse             // one beyond a quota
	jobAwait              // one that has been sent
	jobFlush              // one whose answer the socket did not take whole
	jobBreak              // or not at all
	jobClose              // there is no more to come
)

// drive has loops serve c, if they can.
func (c *conn) drive(e *Edge) bool {
	l := c.lane
	if l == nil || !l.raw.Pollable() {
		return false
	}
	l.edge, l.jobs, l.idle = e, make(chan job, 1), time.Now()
	if l.raw.Watch(l.tls, c.ready) != nil {
		l.raw.Blocking(true)
		return false
	}
	l.on.Store(true)
	l.lookAgain(c)
	return true
}

// wake has the loop look at the connection, if one knows it.
func (l *lane) wake() {
	if l != nil && l.on.Load() {
		l.raw.Wake()
	}
}

// leave gives the connection to its goroutine.
func (c *conn) leave(j job) {
	c.lane.raw.Blocking(true) // before others see it, who may watch the browser
	c.lane.state.Store(laneAway)
	c.lane.jobs <- j
}

// giveBack has the loop wait for the next request.
func (c *conn) giveBack() {
	l := c.lane
	if l.buf != nil {
		putBuf(l.buf)
		l.buf = nil
	}
	l.idle = time.Now()
	early := c.watch.has // the next request has begun
	l.state.Store(laneIdle)
	if early {
		l.raw.Wake()
		return
	}
	l.lookAgain(c)
}

// lookAgain is for what happened while somebody had the connection, of which
// the loop was told in vain.
func (l *lane) lookAgain(c *conn) {
	if l.raw.Pending() || c.isInterrupted() {
		l.raw.Wake()
	}
}

// takeOver has the goroutine go on with an exchange that takes long, so that it
// can be watched. It reports false if that cannot be just now.
func (c *conn) takeOver() bool {
	l := c.lane
	if l == nil || !l.on.Load() || l.state.Load() == laneAway {
		return true
	}
	if !l.state.CompareAndSwap(laneWaiting, laneAway) {
		return false
	}
	l.raw.Blocking(true) // before somebody reads
	l.jobs <- jobAwait
	return true
}
