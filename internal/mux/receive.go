package mux

import "time"

// receive takes bytes from the peer, cut anywhere, which are part of seg. It holds
// seg where that saves a copy. After an error nothing the peer says can be told.
func (c *core) receive(now time.Duration, seg *Segment, b []byte) error {
	for len(b) > 0 {
		if c.body > 0 {
			n := min(int(c.body), len(b))
			c.deliver(seg, b[:n], now)
			b = b[n:]
			continue
		}
		var h header
		switch {
		case c.have == 0 && len(b) >= headerLen:
			h = parseHeader(b)
			b = b[headerLen:]
		default:
			n := copy(c.head[c.have:], b)
			b = b[n:]
			if c.have += uint8(n); c.have < headerLen {
				return nil
			}
			c.have = 0
			h = parseHeader(c.head[:])
		}
		if err := c.frame(now, h); err != nil {
			return err
		}
	}
	return nil
}

// deliver gives a stream a part of the body of the frame that is coming in.
func (c *core) deliver(seg *Segment, b []byte, now time.Duration) {
	c.body -= uint32(len(b))
	s := c.in
	if s != nil && !s.discards {
		s.queue.add(seg, b, int(c.size))
		s.unread.Store(int32(s.queue.len))
		c.touch(s, readable)
	}
	if c.body == 0 && s != nil {
		c.in = nil
		if c.fin {
			c.finish(s, now)
		}
	}
}

func (c *core) frame(now time.Duration, h header) error {
	if h.version != 0 {
		return ErrVersion
	}
	switch {
	case h.typ == typeData || h.typ == typeWindow:
		return c.streamFrame(now, h)
	case c.allows != nil && !c.allows():
		return ErrFlood
	case h.typ == typePing:
		return c.ping(now, h)
	case h.typ == typeGoAway:
		if h.length != 0 {
			return ErrGoAway
		}
		c.peerAway = true
		return nil
	}
	return ErrType
}

func (c *core) ping(now time.Duration, h header) error {
	switch {
	case h.flags&flagSYN != 0:
		if len(c.pongs) == repliesMax {
			return ErrFlood
		}
		c.pongs = append(c.pongs, h.length)
	case c.pinging && !c.pingDue && h.length == c.pingID:
		c.pinging = false
		// What is smaller is nearer the truth: queues only add to it.
		if rtt := max(now-c.pingSent, 1); c.rtt == 0 || rtt < c.rtt {
			c.rtt = rtt
		} else {
			c.rtt += (rtt - c.rtt) / 8
		}
	}
	return nil
}

func (c *core) streamFrame(now time.Duration, h header) error {
	s := c.streams.get(h.id)
	if h.flags&flagSYN != 0 {
		var err error
		if s, err = c.accept(s, h); err != nil {
			return err
		}
	}
	if h.typ == typeData {
		c.body, c.size, c.in, c.fin = h.length, h.length, nil, false
	}
	if s == nil {
		// Of a stream that we have forgotten: the peer may not have heard yet.
		if h.id == 0 {
			return ErrID
		}
		return nil
	}
	c.ack(s, now)
	if h.flags&flagRST != 0 {
		if h.typ == typeWindow {
			s.resetCode = h.length
		}
		c.reset(s, now)
		return nil
	}
	fin := h.flags&flagFIN != 0
	switch {
	case s.finGot && (fin || h.typ == typeData && h.length > 0):
		return ErrAfterFIN
	case h.typ == typeWindow:
		if h.length > 1<<32-1-s.allowed {
			return ErrOverflow
		}
		s.allowed += h.length
		c.queueData(s)
	case h.length > s.credit:
		return ErrWindow
	case h.length > 0:
		s.credit -= h.length
		c.in, c.fin = s, fin
		return nil // the FIN comes behind the body
	}
	if fin {
		c.finish(s, now)
	}
	return nil
}

// accept makes the stream that the peer opens; nil if it is refused.
func (c *core) accept(s *Stream, h header) (*Stream, error) {
	switch {
	case !c.accepts:
		return nil, ErrOpened
	case h.id == 0 || h.id%2 == 1 == c.client:
		return nil, ErrID
	case s != nil:
		return nil, ErrDuplicate
	case c.streams.len() >= int(c.most) || c.lastWord:
		if len(c.resets) >= repliesMax {
			return nil, ErrFlood
		}
		c.resets = append(c.resets, reset{id: h.id})
		return nil, nil
	}
	s = c.add(h.id)
	s.ackDue = true
	c.queues.push(inControl, s)
	c.touch(s, opened)
	return s, nil
}

// finish is the far side's end of a stream.
func (c *core) finish(s *Stream, now time.Duration) {
	s.finGot = true
	c.touch(s, readable)
	if c.bothWays && !s.finSent {
		c.dropUnsent(s)
		c.closeWrite(s, now)
	}
	if s.finSent {
		c.forget(s, now)
	}
}

// reset is the far side's sudden end. Behind its FIN it only says that it hears
// no more: what it has said stays readable to its end.
func (c *core) reset(s *Stream, now time.Duration) {
	if !s.finGot {
		s.wasReset = true
		c.discard(s)
	}
	c.touch(s, readable)
	c.forget(s, now)
}
