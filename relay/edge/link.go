package edge

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"trunkline/internal/id"
)

// link is a stream with its read buffer. buf[r:w] is read and not yet used.
type link struct {
	Stream
	lender lender // the same stream; nil if it cannot
	events events // so too
	again  repeater
	device id.Device
	visit  id.Visit
	used   bool // has carried an answer: the portal may have closed it since
	idleAt time.Time
	age    uint32 // see streams

	buf    []byte // nil while idle
	r, w   int
	last   int // size of the last read
	armedR time.Time
	limit  time.Duration

	flush func()               // of events, bound once
	lane  atomic.Pointer[conn] // that is to hear of what comes; see lane.go
}

// events is a Stream that a loop can drive: nothing of it waits.
type events interface {
	TryRead(b []byte) (int, error) // its error is Temporary when there is nothing
	Hold(b []byte) bool            // takes b to send it with the next Flush, if there is room
	Flush()
	OnChange(f func())
}

// repeater is a Stream that goes through another relay. It ends early, as if the
// tunnel were lost, if what was sent on it can be sent elsewhere.
type repeater interface{ Repeatable(bool) }

// closer is a Stream through another relay, which says when that is about to end it.
type closer interface{ Closing() <-chan struct{} }

// closing is closed when l is about to end; nil if nobody would say so.
func (l *link) closing() <-chan struct{} {
	if c, ok := l.Stream.(closer); ok {
		return c.Closing()
	}
	return nil
}

// lender is a Stream that has use look at what came where it is, at most size
// bytes, instead of copying it out.
type lender interface {
	Lend(size int, use func(net.Buffers) error) (n int, err error)
	TryLend(size int, use func(net.Buffers) error) (n int, err error) // does not wait; its error is Temporary when there is nothing
}

// feeder is a lender that has take called with what comes by who reads the tunnel,
// so that nobody is woken for it; see mux.Stream.Feed.
type feeder interface {
	Feed(size int64, until time.Time, take func(net.Buffers) (more bool)) (n int64, err error)
}

func newLink(s Stream, device id.Device, visit id.Visit, limit time.Duration) *link {
	l := &link{Stream: s, device: device, visit: visit, limit: limit}
	l.lender, _ = s.(lender)
	l.again, _ = s.(repeater)
	return l
}

// repeatable says whether what is sent on l can be sent elsewhere; for as long as
// there is nothing of an answer.
func (l *link) repeatable(yes bool) {
	if l.again != nil {
		l.again.Repeatable(yes)
	}
}

// drivable reports whether a loop can drive l, and makes it so.
func (l *link) drivable() bool {
	if l.events == nil {
		e, ok := l.Stream.(events)
		if !ok {
			return false
		}
		l.events = e
		l.flush = e.Flush
		e.OnChange(l.heard)
	}
	return true
}

func (l *link) heard() {
	if c := l.lane.Load(); c != nil {
		c.heard()
	}
}

// fill reads more behind what is there, making room if it must.
func (l *link) fill() (int, error) {
	if err := l.room(); err != nil {
		return 0, err
	}
	return l.took(l.Read(l.buf[l.w : len(l.buf)-tailRoom]))
}

// tryFill is fill that does not wait.
func (l *link) tryFill() (int, error) {
	if err := l.room(); err != nil {
		return 0, err
	}
	return l.took(l.events.TryRead(l.buf[l.w : len(l.buf)-tailRoom]))
}

// room is a buffer that grows when a read has filled it and shrinks when reads
// are small.
func (l *link) room() error {
	switch {
	case l.buf == nil:
		l.swap(smallBuf)
	case l.r == l.w && len(l.buf) == largeBuf && l.last < smallBuf/2:
		l.swap(smallBuf)
	case l.w == len(l.buf)-tailRoom && len(l.buf) == smallBuf:
		l.swap(largeBuf)
	case l.r == l.w:
		l.r, l.w = headRoom, headRoom
	case l.w == len(l.buf)-tailRoom:
		l.w = headRoom + copy(l.buf[headRoom:], l.buf[l.r:l.w])
		l.r = headRoom
	}
	if l.w == len(l.buf)-tailRoom {
		return io.ErrShortBuffer
	}
	return nil
}

func (l *link) took(n int, err error) (int, error) {
	l.w += n
	l.last = n
	if n > 0 {
		l.repeatable(false)
		err = nil // what failed fails again
	}
	return n, err
}

// swap moves what is there into a buffer of another size.
func (l *link) swap(size int) {
	b := getBuf(size)
	n := copy(b[headRoom:], l.buf[l.r:l.w])
	l.drop()
	l.buf, l.r, l.w = b, headRoom, headRoom+n
}

// drop gives the buffer back.
func (l *link) drop() {
	if l.buf != nil {
		putBuf(l.buf)
	}
	l.buf, l.r, l.w, l.last = nil, 0, 0, 0
}

func (l *link) data() []byte { return l.buf[l.r:l.w] }

// arm keeps the rolling limit on reads.
func (l *link) arm(now time.Time) error {
	if now.Sub(l.armedR) <= l.limit/8 {
		return nil
	}
	l.armedR = now
	return l.SetReadDeadline(now.Add(l.limit))
}
