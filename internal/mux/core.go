package mux

import (
	"math"
	"time"
)

const (
	backlogMax = 256     // streams opened and not acknowledged
	repliesMax = 64      // pings to be answered, and resets to be sent, at once
	smallMax   = 4 << 10 // bytes of small writes that a stream may have waiting

	// pingEvery is how often at most the round trip is measured.
	pingEvery = 10 * time.Second
	// closeTime is the peer's to answer a stream's FIN, before it gets a RST.
	closeTime = 5 * time.Second
)

// core is the session's state. It does nothing by itself, and is told the time,
// which only ever passes.
type core struct {
	client   bool  // opens streams of odd ids
	accepts  bool  // the peer may open streams
	bothWays bool  // a close ends both directions
	batch    uint8 // number of the last fill
	ahead    int32 // turns of inFresh since the last of inData
	window   int32 // the largest of a stream
	most     int32 // streams at once
	growth   int   // of all windows; 0: no bound but the budget
	grown    int
	budget   *Budget
	allows   func() bool // a ping or GoAway of the peer's; nil: always

	streams streams
	lastID  uint32        // of ours
	unacked int32         // of those opened by us
	ackedAt time.Duration // when one of them was last acknowledged, or the first of them was opened

	// What comes in: a header, perhaps in pieces, then a body.
	head [headerLen]byte
	size uint32  // the body's
	body uint32  // bytes of it still to come
	have uint8   // of head
	fin  bool    // a FIN stands behind the body
	in   *Stream // whose it is; nil: nobody's

	// What goes out.
	queues queues
	pongs  []uint32
	resets []reset

	// The round-trip time, by pings while there is traffic.
	rtt      time.Duration // 0: not known
	pingSent time.Duration // the last one; 0: none yet
	pingID   uint32
	pinging  bool // it is not answered yet
	pingDue  bool // nor sent

	peerAway bool // the peer takes no more streams
	lastWord bool // nothing is added to what goes out, but by urgent streams
}

// reset is a RST to be sent. The code is in the frame's length, where other
// implementations have 0 and look at nothing.
type reset struct{ id, code uint32 }

// The events of a stream.
const (
	readable = 1 << iota // data, or the end of data
	writable             // what was to be written has been taken, or never will be
	opened               // by the peer
	acked                // another one may be opened
)

func newCore(c Config) core {
	k := core{
		client: c.Client, accepts: c.Accept != nil, bothWays: c.BothWays,
		window: int32(min(max(c.Window, initialWindow), maxWindow)), most: int32(min(c.MaxStreams, math.MaxInt32)), growth: c.Growth, budget: c.Budget, allows: c.Control,
	}
	return k
}

func (c *core) touch(s *Stream, event uint8) {
	s.events |= event
	c.queues.push(inTouched, s)
}

// open makes a stream of ours, whose SYN goes out with what it sends first.
func (c *core) open(now time.Duration) (*Stream, error) {
	switch {
	case c.peerAway:
		return nil, ErrPeerClosed
	case c.unacked >= backlogMax:
		return nil, errBacklog
	case c.lastID >= 1<<32-4:
		return nil, ErrExhausted
	case c.lastID == 0 && c.client:
		c.lastID = 1
	default:
		c.lastID += 2
	}
	s := c.add(c.lastID)
	s.synDue, s.unacked = true, true
	if c.unacked++; c.unacked == 1 {
		c.ackedAt = now
	}
	c.queues.push(inControl, s)
	return s, nil
}

func (c *core) add(id uint32) *Stream {
	s := &Stream{id: id, window: initialWindow, credit: initialWindow, allowed: initialWindow}
	c.streams.add(s)
	return s
}

// ack counts a stream of ours as acknowledged.
func (c *core) ack(s *Stream, now time.Duration) {
	if !s.unacked {
		return
	}
	s.unacked, c.ackedAt = false, now
	if c.unacked--; c.unacked == backlogMax-1 {
		c.touch(s, acked)
	}
}

// forget drops a stream that is over on both sides, or of which the peer must
// speak no more. What it has received stays readable.
func (c *core) forget(s *Stream, now time.Duration) {
	if s.forgotten {
		return
	}
	s.forgotten = true
	c.ack(s, now)
	c.dropUnsent(s)
	c.queues.remove(inControl, s)
	c.queues.remove(inClosing, s)
	if c.in == s {
		c.in = nil
	}
	c.shrink(s.window - initialWindow)
	c.streams.remove(s)
}

// dropPending ends the wait of who writes.
func (c *core) dropPending(s *Stream) {
	s.dropped += len(s.pend)
	s.pend = nil
	if s.unsent() == 0 {
		c.unqueue(s)
	}
	c.touch(s, writable)
}

// dropUnsent forgets all that a stream had to send.
func (c *core) dropUnsent(s *Stream) {
	if s.small != nil {
		s.small.Release()
		s.small, s.smallR, s.smallW = nil, 0, 0
	}
	c.dropPending(s)
}

// closeWrite has a FIN sent behind what is still to be sent.
func (c *core) closeWrite(s *Stream, now time.Duration) {
	if s.finDue || s.finSent || s.forgotten {
		return
	}
	s.finDue, s.closedAt = true, now
	c.queues.push(inControl, s)
}

// discard drops what a stream has received, and will.
func (c *core) discard(s *Stream) {
	s.discards = true
	s.queue.clear()
	s.unread.Store(0)
}

// expire resets streams whose close nobody has answered, or whose window nobody
// opens for what is before it, and says when the next one is due; 0: there is
// none.
func (c *core) expire(now time.Duration) time.Duration {
	for {
		s := c.queues.first(inClosing)
		if s == nil {
			return 0
		}
		if at := s.closedAt + closeTime; at > now {
			return at
		}
		if s.hasTurn() { // the connection is slow, not the peer silent
			c.queues.remove(inClosing, s)
			s.closedAt = now
			c.queues.push(inClosing, s)
			continue
		}
		c.resets = append(c.resets, reset{id: s.id}) // at most as many as there were streams
		c.forget(s, now)
	}
}

// wantRTT has the round trip measured, if that was long ago.
func (c *core) wantRTT(now time.Duration) {
	if c.pinging || c.pingSent != 0 && now-c.pingSent < pingEvery {
		return
	}
	c.pinging, c.pingDue = true, true
}

// hasOutput reports whether fill has anything to give.
func (c *core) hasOutput() bool {
	return c.pingDue || c.queues.first(inControl) != nil || c.queues.first(inFresh) != nil || c.queues.first(inData) != nil || len(c.pongs)+len(c.resets) > 0
}
