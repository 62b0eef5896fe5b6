package edge

import (
	"errors"
	"net"
	"time"
)

// wait does what loops leave to c's goroutine, until the connection is closed;
// true: fasthttp is to serve it.
func (c *conn) wait(done <-chan struct{}) (leave bool) {
	l := c.lane
	idle := time.NewTimer(l.edge.o.Limits.Header) // for the first request to begin
	defer idle.Stop()
	for {
		select {
		case <-done:
			return false
		case <-idle.C:
			idle.Reset(c.idleFor(l.edge.o.Limits.Idle))
		case j := <-l.jobs:
			if j == jobLeave {
				l.raw.Unwatch()
				l.given = 0
				return true
			}
			c.do(j)
		}
	}
}

// idleFor says how long c may still be idle. If that is over, and if it has not
// said a word until now, it is closed.
func (c *conn) idleFor(limit time.Duration) time.Duration {
	l := c.lane
	if !l.state.CompareAndSwap(laneIdle, laneReading) {
		return limit
	}
	left := limit - time.Since(l.idle)
	if !c.spoke || left <= 0 {
		c.leave(jobClose)
		return limit
	}
	l.state.Store(laneIdle)
	l.lookAgain(c)
	return left
}

// do does a job, and gives the connection back.
func (c *conn) do(j job) {
	x, l := c.exchange, c.lane
	switch j {
	case jobDescend:
		x.finish(x.descendAdmitted())
	case jobServe:
		x.finish(x.proxy())
	case jobRefuse:
		x.finish(l.refusal)
	case jobAwait:
		x.finish(x.goOnAwaiting())
	case jobFlush:
		x.flush()
	case jobBreak:
		x.breakAnswer(x.err)
	case jobClose:
		_ = c.Close()
		return
	}
	if x.refusal != nil {
		if _, err := c.Write(x.refusal); err != nil {
			x.last = true
		}
	}
	if x.last {
		_ = c.Close()
		return
	}
	l.raw.Blocking(false)
	c.giveBack()
}

// flush waits for the browser to take the rest of the answer.
func (x *exchange) flush() {
	if err := errors.Join(x.c.progress(), x.c.lane.raw.Uncork()); err != nil {
		x.breakAnswer(err)
		return
	}
	x.answered()
}

// breakAnswer ends an exchange whose answer the browser does not take.
func (x *exchange) breakAnswer(err error) {
	x.link.lane.Store(nil)
	x.c.stopWatch()
	x.finish(x.conclude(errors.Join(errGone, err)))
}

// goOnAwaiting waits for the answer to a request that is out.
func (x *exchange) goOnAwaiting() error {
	k := x.link
	k.lane.Store(nil)
	k.armedR = time.Time{}
	if err := k.SetDeadline(x.start.Add(x.e.o.Limits.Answer)); err != nil && !errors.Is(err, net.ErrClosed) {
		x.c.stopWatch()
		return x.conclude(err)
	}
	err := x.receive(nil)
	x.c.stopWatch()
	switch {
	case err == nil:
		return nil
	case !x.isStale(err):
		return x.conclude(err)
	}
	x.e.pool.drop(k)
	x.e.m.retries.Inc()
	return x.tryStreams(x.header(), -1, true)
}
