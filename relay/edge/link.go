package edge

import (
	"io"
	"net"
	"time"

	"trunkline/internal/id"
)

// link is a stream with its read buffer. buf[r:w] is read and not yet used.
type link struct {
	Stream
	lender lender // the same stream; nil if it cannot
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
}

// lender is a Stream that has use look at what came where it is, at most size
// bytes, instead of copying it out.
type lender interface {
	Lend(size int, use func(net.Buffers) error) (n int, err error)
}

func newLink(s Stream, device id.Device, visit id.Visit, limit time.Duration) *link {
	l := &link{Stream: s, device: device, visit: visit, limit: limit}
	l.lender, _ = s.(lender)
	return l
}

// fill reads more behind what is there, making room if it must. The buffer
// grows when a read has filled it and shrinks when reads are small.
func (l *link) fill() (int, error) {
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
		return 0, io.ErrShortBuffer
	}
	n, err := l.Read(l.buf[l.w : len(l.buf)-tailRoom])
	l.w += n
	l.last = n
	if n > 0 {
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
