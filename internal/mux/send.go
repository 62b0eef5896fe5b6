package mux

import "time"

// fill puts frames into b, which is of FlushSize, and returns how
// many bytes there are; 0: there is nothing to send. Control comes first, then
// the streams take turns.
func (c *core) fill(now time.Duration, b []byte) (n int) {
	const room = 2 * headerLen // of what a stream's control can take
	c.batch++
	for len(c.pongs) > 0 && len(b)-n >= room {
		n += header{typ: typePing, flags: flagACK, length: c.pongs[0]}.put(b[n:])
		if c.pongs = c.pongs[1:]; len(c.pongs) == 0 {
			c.pongs = nil
		}
	}
	for len(c.resets) > 0 && len(b)-n >= room {
		n += header{typ: typeWindow, flags: flagRST, id: c.resets[0].id, length: c.resets[0].code}.put(b[n:])
		if c.resets = c.resets[1:]; len(c.resets) == 0 {
			c.resets = nil
		}
	}
	if c.pingDue && len(b)-n >= room {
		c.pingID++
		c.pingDue, c.pingSent = false, max(now, 1)
		n += header{typ: typePing, flags: flagSYN, length: c.pingID}.put(b[n:])
	}
	for len(b)-n >= room {
		s := c.queues.pop(inControl)
		if s == nil {
			break
		}
		n += c.sendControl(s, b[n:], now)
	}
	for len(b)-n > headerLen {
		s := c.turn()
		if s == nil {
			break
		}
		// The rest of b is not worth a frame of its own.
		if free := len(b) - n - headerLen; free < min(s.unsent(), int(s.allowed), MaxBody) && free < MaxBody/4 {
			break
		}
		if c.queues.has(inFresh, s) {
			c.ahead++
		} else {
			c.ahead = 0
			s.bulk, s.batch = true, c.batch
		}
		c.unqueue(s)
		n += c.sendData(s, b[n:], now)
		if s.hasTurn() && !s.urgent {
			c.queues.push(inData, s)
		} else {
			c.queueData(s)
		}
	}
	return n
}

// due takes the flags that a stream's next frame has to carry.
func (s *Stream) due() (flags uint16) {
	if s.synDue {
		flags |= flagSYN
	}
	if s.ackDue {
		flags |= flagACK
	}
	s.synDue, s.ackDue = false, false
	return flags
}

// sendControl sends all but data: in a frame of its own what cannot ride on
// data that comes next.
func (c *core) sendControl(s *Stream, b []byte, now time.Duration) int {
	rides := c.queues.has(inData, s) || c.queues.has(inFresh, s)
	fin := s.finDue && s.unsent() == 0
	if rides && s.grant == 0 || !fin && s.grant == 0 && !s.synDue && !s.ackDue {
		return 0
	}
	h := header{typ: typeWindow, flags: s.due(), id: s.id, length: s.grant}
	s.grant = 0
	if fin {
		h.flags |= flagFIN
	}
	n := h.put(b)
	if fin {
		c.sentFIN(s, now)
	}
	return n
}

func (c *core) sentFIN(s *Stream, now time.Duration) {
	s.finDue, s.finSent = false, true
	switch {
	case s.finGot:
		c.forget(s, now)
	case s.discards: // nobody waits for the far side's end
		s.closedAt = now
		c.queues.push(inClosing, s)
	}
}

// sendData makes one frame of a stream's data.
func (c *core) sendData(s *Stream, b []byte, now time.Duration) int {
	n := min(s.unsent(), int(s.allowed), MaxBody, len(b)-headerLen)
	body := b[headerLen : headerLen+n]
	if s.small != nil {
		m := copy(body, s.small.B[s.smallR:s.smallW])
		body = body[m:]
		if s.smallR += m; s.smallR == s.smallW {
			s.small.Release()
			s.small, s.smallR, s.smallW = nil, 0, 0
		}
	}
	if len(body) > 0 {
		copy(body, s.pend)
		if s.pend = s.pend[len(body):]; len(s.pend) == 0 {
			s.pend = nil
			c.touch(s, writable)
		}
	}
	s.allowed -= uint32(n)
	n += header{typ: typeData, flags: s.due(), id: s.id, length: uint32(n)}.put(b)
	if s.finDue && s.unsent() == 0 {
		if len(b)-n < headerLen {
			c.queues.push(inControl, s)
			return n
		}
		// In a frame of its own: hashicorp's and libp2p's readers may see a flag
		// before the body that it stands on, and take that for the end.
		c.queues.remove(inControl, s)
		n += header{typ: typeWindow, flags: flagFIN, id: s.id}.put(b[n:])
		c.sentFIN(s, now)
	}
	return n
}

// unsent is how many bytes wait to be sent.
func (s *Stream) unsent() int { return s.smallW - s.smallR + len(s.pend) }

// hasTurn reports whether a stream has something to send, and may.
func (s *Stream) hasTurn() bool { return !s.forgotten && s.unsent() > 0 && s.allowed > 0 }

// queueData gives a stream its turn, if it can use one.
func (c *core) queueData(s *Stream) {
	switch {
	case !s.hasTurn() || c.queues.has(inData, s):
	case s.urgent:
		c.queues.pushFront(inFresh, s)
	case s.bulk && c.batch-s.batch <= 1: // its writer goes on: what it wrote before has just been taken
		c.queues.push(inData, s)
	default:
		s.bulk = false
		c.queues.push(inFresh, s)
	}
}

func (c *core) unqueue(s *Stream) {
	c.queues.remove(inFresh, s)
	c.queues.remove(inData, s)
}

// aheadMax bounds how many turns streams that say little get before one that
// has much to say.
const aheadMax = 8

// turn is whose it is. Who has just got something to send goes before those that
// send all the time: a page before a recording (as in RFC 8290, section 4.2).
func (c *core) turn() *Stream {
	if c.queues.first(inData) != nil && (c.queues.first(inFresh) == nil || c.ahead >= aheadMax && !c.queues.first(inFresh).urgent) {
		return c.queues.first(inData)
	}
	return c.queues.first(inFresh)
}
