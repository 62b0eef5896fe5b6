package mux

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is one of a session's streams, a net.Conn.
type Stream struct {
	session *Session
	notify  atomic.Pointer[func()]
	onClose func()
	over    atomic.Bool // notify hears of the session's end too
	closed  atomic.Bool // by Close
	id      uint32
	unread  atomic.Int32 // bytes that wait for a Read

	// The core's, guarded by the session's lock.
	links [lists]link

	queue   queue
	window  int    // the receive window
	credit  uint32 // of it, what the peer may still send
	grant   uint32 // is to be told so
	granted time.Duration

	pend           []byte   // a blocked writer's
	dropped        int      // of it, what will never be sent
	small          *Segment // copies of small writes: small.B[smallR:smallW]
	smallR, smallW int
	allowed        uint32 // what we may send
	resetCode      uint32 // the peer's

	in                     uint8 // which lists
	batch                  uint8 // of its last turn as bulk
	bulk                   bool  // it had one
	events                 uint8
	synDue, ackDue, finDue bool
	finSent, finGot        bool
	wasReset               bool // by the peer
	broken                 bool // by the session's end
	discards               bool // we have closed it, or the peer has reset it: what comes is dropped
	forgotten              bool
	unacked                bool
	urgent                 bool
	closedAt               time.Duration

	// Ours.
	readMu, writeMu sync.Mutex // who reads, who writes
	reader, writer  *waiter    // nil: nobody waits
	fed             *feeding   // nil: what comes waits for a Read
	readBy, writeBy time.Time
}

// Read waits for data. After the far side's end it is io.EOF; after a close
// by ourselves net.ErrClosed; after the session's end what Config.Lost says.
func (t *Stream) Read(b []byte) (int, error) { return t.read(b, true) }

// TryRead is Read that does not wait but says ErrWouldBlock.
func (t *Stream) TryRead(b []byte) (int, error) { return t.read(b, false) }

func (t *Stream) read(b []byte, wait bool) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t.readMu.Lock()
	defer t.readMu.Unlock()
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := t.awaitLocked(wait); err != nil {
		return 0, err
	}
	n := t.queue.read(b)
	t.consumedLocked()
	return n, nil
}

func (t *Stream) consumedLocked() {
	s := t.session
	s.core.consumed(t, clock())
	s.kickLocked()
}

// endLocked is why there is nothing more to read; nil while there may be.
func (t *Stream) endLocked() error {
	switch {
	case t.closed.Load():
		return net.ErrClosed
	case t.queue.len > 0:
		return nil
	case t.wasReset:
		return ErrReset
	case t.broken:
		return t.session.lost
	case t.finGot:
		return io.EOF
	}
	return nil
}

// awaitLocked waits until there is something to read, or an error instead.
func (t *Stream) awaitLocked(wait bool) error {
	s := t.session
	for {
		switch err := t.endLocked(); {
		case err != nil || t.queue.len > 0:
			return err
		case !wait:
			return ErrWouldBlock
		}
		if t.synDue || t.unsent() > 0 {
			s.kickLocked()
		}
		if !waitLocked(&s.mu, &t.reader, t.readBy) {
			return os.ErrDeadlineExceeded
		}
	}
}

// Write sends b. It waits for the peer's window and for the connection, though
// not until the connection has taken all.
func (t *Stream) Write(b []byte) (int, error) {
	t.writeMu.Lock()
	defer t.writeMu.Unlock()
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := t.writeErrorLocked(); err != nil || len(b) == 0 {
		return 0, err
	}
	if s.flushing && t.keepLocked(b) {
		return len(b), nil
	}
	t.pend, t.dropped = b, 0
	s.core.queueData(t)
	if t.allowed > 0 && !s.flushing {
		s.flushing = true
		if len(b) <= smallMax {
			// The frames of others join, and one write is saved for each.
			s.mu.Unlock()
			gosched()
			s.mu.Lock()
		}
		s.flushLocked(t)
	}
	for len(t.pend) > 0 {
		if err := t.writeErrorLocked(); err != nil {
			return t.takeBackLocked(b), err
		}
		if !waitLocked(&s.mu, &t.writer, t.writeBy) {
			return t.takeBackLocked(b), os.ErrDeadlineExceeded
		}
	}
	if t.dropped > 0 {
		err := t.writeErrorLocked()
		return t.takeBackLocked(b), errors.Join(err)
	}
	return len(b), nil
}

// keepLocked copies a small write, so that its writer need not wait for who
// flushes just now.
func (t *Stream) keepLocked(b []byte) bool {
	limit := smallMax
	if t.urgent {
		limit = SegmentSize
	}
	old, had := t.small, t.smallW-t.smallR
	switch {
	case had+len(b) > limit:
		return false
	case old == nil:
		t.small = segmentFor(len(b))
	case t.smallW+len(b) > len(old.B):
		t.small = segmentFor(had + len(b))
		copy(t.small.B, old.B[t.smallR:t.smallW])
		t.smallR, t.smallW = 0, had
		old.Release()
	}
	t.smallW += copy(t.small.B[t.smallW:], b)
	t.session.core.queueData(t)
	return true
}

// takeBackLocked ends a write early and says how much of b was taken.
func (t *Stream) takeBackLocked(b []byte) int {
	n := len(b) - len(t.pend) - t.dropped
	t.pend, t.dropped = nil, 0
	if t.unsent() == 0 {
		t.session.core.unqueue(t)
	}
	return n
}

func (t *Stream) writeErrorLocked() error {
	switch {
	case t.closed.Load():
		return net.ErrClosed
	case t.wasReset:
		return ErrReset
	case t.broken || t.session.mute:
		return t.session.lost
	case t.finGot && t.session.core.bothWays:
		return ErrPeerClosed
	case t.finDue || t.finSent:
		return net.ErrClosed
	case t.forgotten: // it was reset behind its end
		return ErrReset
	case t.session.core.lastWord && !t.urgent:
		return t.session.lost
	}
	return nil
}

// Post is Write of at most 4 KiB, or SegmentSize if the stream is urgent, that never
// waits; false: there is no room.
func (t *Stream) Post(b []byte) bool {
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	ok := t.holdLocked(b)
	s.kickLocked()
	return ok
}

// Hold is Post that sends nothing by itself: what it takes goes with what is
// sent next, or when somebody waits in Read.
func (t *Stream) Hold(b []byte) bool {
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	return t.holdLocked(b)
}

func (t *Stream) holdLocked(b []byte) bool {
	return t.writeErrorLocked() == nil && len(t.pend) == 0 && t.keepLocked(b)
}

// Flush is the session's.
func (t *Stream) Flush() { t.session.Flush() }

// FlushBehind is Session.FlushBehind: what o holds goes when all have been told of
// what came with what t has got.
func (t *Stream) FlushBehind(o *Stream) { t.session.FlushBehind(o.session) }

// Announce tells the peer of a new stream now.
func (t *Stream) Announce() {
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	t.session.kickLocked()
}

// CloseWrite ends what we send, behind what is still to be sent. With
// Config.BothWays it is Close for what we send, and the far side closes too.
func (t *Stream) CloseWrite() error {
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.closed.Load() {
		return net.ErrClosed
	}
	s.core.closeWrite(t, clock())
	s.kickLocked()
	return nil
}

// Close ends the stream in both directions and does not wait. Small writes
// that were taken before are still sent.
func (t *Stream) Close() error {
	if t.closed.Swap(true) {
		return nil
	}
	s := t.session
	s.mu.Lock()
	now := clock()
	s.core.discard(t)
	s.core.closeWrite(t, now)
	s.core.dropPending(t) // its writer hears of the close instead
	if !t.finGot && !t.forgotten {
		t.closedAt = now
		s.core.queues.push(inClosing, t)
	}
	s.core.touch(t, readable)
	s.dispatchLocked()
	s.kickLocked()
	s.mu.Unlock()
	if t.onClose != nil {
		t.onClose()
	}
	return nil
}

// Reset ends the stream in both directions at once: nothing more is sent.
func (t *Stream) Reset() { t.ResetWith(0) }

// ResetCode is what the far side gave ResetWith, once Read says ErrReset.
func (t *Stream) ResetCode() uint32 {
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	return t.resetCode
}

// ResetWith is Reset that says why, to a far side of ours: yamux knows no such
// thing.
func (t *Stream) ResetWith(code uint32) {
	if t.closed.Swap(true) {
		return
	}
	s := t.session
	s.mu.Lock()
	if !t.forgotten {
		s.core.resets = append(s.core.resets, reset{t.id, code}) // as many as there are streams, at most
	}
	s.core.discard(t)
	s.core.touch(t, readable|writable)
	s.core.forget(t, clock())
	s.dispatchLocked()
	s.kickLocked()
	s.mu.Unlock()
	if t.onClose != nil {
		t.onClose()
	}
}

// OnClose has f called by the first Close. It is set before the stream is used.
func (t *Stream) OnClose(f func()) { t.onClose = f }

// OnReadable has f called by Receive whenever there is something new to
// TryRead, the end too. f must not wait. It may have been there before.
func (t *Stream) OnReadable(f func()) { t.notify.Store(&f) }

// OnChange is OnReadable that hears of the session's end too, from whoever ends
// it.
func (t *Stream) OnChange(f func()) {
	t.over.Store(true)
	t.notify.Store(&f)
}

// SetUrgent has the stream's data go before that of others, and still go after
// Finish. It is for few bytes.
func (t *Stream) SetUrgent() {
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	t.urgent = true
}

// Unread is how many bytes wait for a Read.
func (t *Stream) Unread() int { return int(t.unread.Load()) }

// Open reports whether neither side, nor the session's end, has closed it.
func (t *Stream) Open() bool {
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	return !t.closed.Load() && !t.finGot && !t.finDue && !t.finSent && !t.wasReset && !t.broken && !s.core.lastWord
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (t *Stream) SetDeadline(d time.Time) error { return t.setDeadlines(d, true, true) }

func (t *Stream) SetReadDeadline(d time.Time) error { return t.setDeadlines(d, true, false) }

// SetWriteDeadline bounds the wait for the window, and for others' frames. The
// wait for the connection is the session's own affair.
func (t *Stream) SetWriteDeadline(d time.Time) error { return t.setDeadlines(d, false, true) }

func (t *Stream) setDeadlines(d time.Time, read, write bool) error {
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	if t.closed.Load() {
		return net.ErrClosed
	}
	if read {
		t.readBy = d
		t.reader.wake() // it looks again
	}
	if write {
		t.writeBy = d
		t.writer.wake()
	}
	return nil
}

func (t *Stream) LocalAddr() net.Addr  { return t.session.addrs.LocalAddr() }
func (t *Stream) RemoteAddr() net.Addr { return t.session.addrs.RemoteAddr() }
