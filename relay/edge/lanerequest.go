package edge

import (
	"bytes"

	"trunkline/internal/evtls"
)

// ready is for what comes from the browser. Its loop calls it.
func (c *conn) ready() (again bool) {
	l := c.lane
	if !l.state.CompareAndSwap(laneIdle, laneReading) {
		return false // who has it looks when it gives it back
	}
	if c.isInterrupted() {
		c.leave(jobClose)
		return false
	}
	buf, early := getBuf(smallBuf), 0
	if c.watch.has { // who watched for the browser's going has read the first byte
		buf[0], early = c.watch.b[0], 1
	}
	n, err := l.raw.TryRead(buf[early:])
	switch {
	case evtls.WouldBlock(err):
		putBuf(buf)
		l.state.Store(laneIdle)
		l.lookAgain(c)
	case err != nil:
		putBuf(buf)
		c.leave(jobClose)
	default:
		c.spoke, c.watch.has = true, false
		l.buf = buf
		c.start(buf[:early+n])
	}
	return false
}

// start serves what has been read, up to where somebody has to wait.
func (c *conn) start(b []byte) {
	l := c.lane
	e := l.edge
	x := e.beginOn(c, nil)
	l.line = max(bytes.Index(b, []byte("\r\n")), 0)
	if !x.isSimple(b) || x.admit() != nil {
		// fasthttp reads it again, and whoever was not let in hears of it.
		e.m.active.Dec()
		c.setBusy(false)
		c.mem = b
		c.leave(jobLeave)
		return
	}
	x.trace()
	if x.span != nil || x.guest.Served != nil && x.isDocument() || x.findRoute() != nil {
		c.leave(jobDescend)
		return
	}
	x.what = "portal"
	k := e.pool.tryTake(x.guest.Visit.ID, x.route.Device)
	if k == nil {
		c.leave(jobServe)
		return
	}
	err := x.enterQuotas()
	switch {
	case err != nil:
		e.pool.putBack(k)
		l.refusal = err
		c.leave(jobRefuse)
	case x.dues.owe():
		e.pool.putBack(k)
		c.leave(jobServe)
	default:
		x.submit(k)
	}
}

// submit hands the request to the tunnel, to be sent with what others have to
// send just now.
func (x *exchange) submit(k *link) {
	c, l := x.c, x.c.lane
	out := getBuf(smallBuf)
	defer putBuf(out)
	head := x.appendRequest(out[:0])
	x.link, x.reused = k, true
	c.startWatch(x)
	l.news.Store(false)
	k.repeatable(true)
	k.lane.Store(c)
	l.state.Store(laneWaiting)
	if k.events.Hold(head) {
		l.raw.Later(k.flush) // the exchange may be over by now
		return
	}
	// It is too long for that, or the stream has just ended.
	if l.state.CompareAndSwap(laneWaiting, laneReading) {
		k.lane.Store(nil)
		c.stopWatch()
		x.e.pool.putBack(k)
		x.link, x.reused = nil, false
		c.leave(jobServe)
	}
}

// isSimple reads b as a request, and reports whether it is a whole one, alone,
// in order, and of the kind that a lane is for. Nothing hangs on it but who
// reads the request.
func (x *exchange) isSimple(b []byte) bool {
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok || bytes.Index(rest, []byte("\r\n\r\n")) != len(rest)-len("\r\n\r\n") || len(rest) < len("\r\n\r\n") {
		return false
	}
	target, get := bytes.CutPrefix(line, []byte("GET "))
	target, version := bytes.CutSuffix(target, []byte(" HTTP/1.1"))
	if !get || !version || len(target) == 0 || target[0] != '/' || !isPlainTarget(target) {
		return false
	}
	r := &x.req
	r.method, r.target, r.fields = "GET", target, x.c.fields[:0]
	if r.parse(rest) != nil {
		return false
	}
	x.c.fields = r.fields
	if r.length != 0 || r.upgrade != nil || r.close || x.e.retiring.Load() {
		return false
	}
	for i := range r.fields {
		switch r.fields[i].kind {
		case kLength, kTransfer, kExpect, kTrailer:
			return false
		}
	}
	if x.c.plain && x.behindProxy() != nil {
		return false
	}
	return x.findSite() == nil && !x.isDoor()
}

// isPlainTarget reports whether b has nothing that a target may not have.
func isPlainTarget(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}
