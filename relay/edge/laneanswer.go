package edge

import "time"

// heard is told that the stream has something, or may have.
func (c *conn) heard() {
	l := c.lane
	l.news.Store(true)
	for l.state.CompareAndSwap(laneWaiting, laneAnswering) {
		l.news.Store(false)
		if c.exchange.tryAnswer() {
			return
		}
		l.state.Store(laneWaiting)
		if !l.news.Load() {
			return
		}
	}
}

// tryAnswer passes the answer on, or leaves it to the goroutine. It reports
// false if more has to come for either.
func (x *exchange) tryAnswer() (over bool) {
	for {
		switch x.answerNow() {
		case answerOut:
			return true
		case answerSlow:
			x.c.leave(jobAwait)
			return true
		}
		if _, err := x.link.tryFill(); isTemporary(err) {
			return false
		} else if err != nil {
			x.c.leave(jobAwait)
			return true
		}
	}
}

// isTemporary tells "nothing now" from other errors.
func isTemporary(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}

// longest is how long an answer may be, its head included, that a loop writes.
const longest = smallBuf - 1<<10

// What answerNow has found.
const (
	answerPart = iota // more has to come
	answerOut
	answerSlow // it is not for a loop
)

// answerNow passes the answer on if all of it is there and short.
func (x *exchange) answerNow() int {
	c, k := x.c, x.link
	b := k.data()
	n := headEnd(b)
	switch {
	case len(b) == 0:
		return answerPart
	case n < 0 && (len(b) > longest || !plausible(b)):
		return answerSlow
	case n < 0:
		return answerPart
	}
	a := &c.lane.answer
	a.fields = c.answerFields[:0]
	if a.parse(b[:n]) != nil || a.status < 200 {
		return answerSlow
	}
	c.answerFields = a.fields
	length, chunked := a.body(x.req.method)
	switch {
	case length < 0 || chunked || int64(n)+length > longest || x.e.retiring.Load():
		return answerSlow
	case n+int(length) > len(b):
		return answerPart
	}
	k.r += n + int(length)
	x.pass(a, b[n:n+int(length)])
	return answerOut
}

// pass writes an answer as far as the socket takes it.
func (x *exchange) pass(a *answer, body []byte) {
	c := x.c
	x.status = a.status
	x.e.m.answered(time.Since(x.start), x.guest.Visit.ID)
	out := getBuf(smallBuf)
	defer putBuf(out)
	b := append(x.appendFraming(x.appendAnswer(out[:0], a), a, int64(len(body)), true), body...)
	x.out.Add(int64(len(body)))
	(&toll{x: x, owed: len(body)}).settle()
	x.answers()
	switch whole, err := c.lane.raw.TryWrite(b); {
	case err != nil:
		x.err = err
		c.leave(jobBreak)
	case !whole:
		c.leave(jobFlush)
	default:
		x.e.m.driven.Inc()
		if x.answered(); x.last {
			c.leave(jobClose)
		} else {
			c.giveBack()
		}
	}
}

// answered puts the stream away and ends the exchange, whose answer is out.
func (x *exchange) answered() {
	c, k := x.c, x.link
	k.lane.Store(nil)
	c.stopWatch()
	if c.lane.answer.keep {
		x.e.pool.put(k)
	} else {
		x.e.pool.finish(k)
	}
	x.end()
}
