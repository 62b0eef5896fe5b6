package edge

// A connection comes back from fasthttp behind the first request that it was
// left with, if fasthttp has read nothing beyond that: what is in its buffer
// cannot be had. So the bytes it was given are counted. It is told that the
// connection ends, and what it says to the browser then is dropped, as always
// when the portal's answer is out (conn.Write).

// returnBehind has loops serve c again when fasthttp is done with x.
func (c *conn) returnBehind(x *exchange) {
	l := c.lane
	if l == nil || l.line == 0 || x.upgraded {
		return
	}
	size := int64(l.line+len("\r\n")+len(x.ctx.Request.Header.RawHeaders())) + x.req.length
	l.line = 0
	if c.mute && !x.last && x.req.length >= 0 && l.given == size {
		l.back = true
		x.ctx.SetConnectionClose()
	}
}

// returns reports that the connection is not to be closed: it comes back.
func (l *lane) returns() bool { return l != nil && l.back }

// comesBack puts the connection into the lane again; false if it is not to be.
func (c *conn) comesBack() bool {
	l := c.lane
	if !l.back {
		return false
	}
	l.back, c.mute = false, false
	if c.mem != nil {
		l.buf = nil // it has bytes that nobody has read
	}
	l.state.Store(laneAway)
	if l.raw.Rewatch() != nil {
		_ = c.Close()
		return true
	}
	c.giveBack()
	return true
}
