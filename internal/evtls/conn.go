package evtls

import (
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"syscall"

	"trunkline/internal/cork"
)

// Conn is the connection below a server's tls.Conn. It reads and writes as the
// one it wraps, until Watch. Writes can be corked at any time.
type Conn struct {
	*cork.Conn
	poller *Poller
	raw    syscall.RawConn // nil: no socket

	lean    bool                                 // the reader has a goroutine, and deadlines
	tls     *tls.Conn                            // that reads from here, once it does so in one of our ways
	now     func(c *Conn, b []byte) (int, error) // reads what is there; nil: Read blocks
	lent    *segment                             // what crypto/tls reads into, between the first byte and the last
	drained bool                                 // it has nothing to hand out but when the socket has

	// Set by Watch.
	ready func() (again bool)
	by    waker

	onRead func() // see OnRead

	slot    int32       // the loop's
	queued  bool        // guarded by the loop's mu
	pending atomic.Bool // the socket may have something
	hangup  atomic.Bool // the peer's end has been seen: read up to it
	closed  atomic.Bool
}

type waker interface{ wake(*Conn) }

// NewConn wraps c and owns it. It is p that may watch it.
func NewConn(p *Poller, c net.Conn) *Conn {
	e := &Conn{Conn: cork.New(c), poller: p}
	if s, ok := c.(syscall.Conn); ok {
		e.raw, _ = s.SyscallConn()
	}
	return e
}

var errWatched = errors.New("evtls: the connection is watched already")

// Watch has ready called, never twice at once, when t, whose raw connection c
// is, may have something to read; now for the first time. Nobody else may read
// t from here on. ready must not wait for anything, and returns true until
// TryRead has said ErrWouldBlock: other connections have their turn in
// between. It may return false without that if it is Wake that shall have it
// called next. After Close it is called once more at least, to find out, and
// in the end no more.
func (c *Conn) Watch(t *tls.Conn, ready func() (again bool)) error {
	p := c.poller
	if c.by != nil {
		return errWatched
	}
	c.tls, c.ready = t, ready
	if len(p.loops) == 0 || c.raw == nil {
		g := goroutine{make(chan struct{}, 1)}
		c.by = g
		p.wg.Go(func() { g.serve(c) })
		return nil
	}
	c.Detach()
	return p.loops[int(p.next.Add(1))%len(p.loops)].watch(c)
}

// Wake has ready called once more, soon. It may be called from anywhere, once
// Watch has returned.
func (c *Conn) Wake() { c.by.wake(c) }

// OnRead has f called once, by the next Read before it reads, and returns what
// was to be and has not been. In the middle of a handshake, that is when all
// that could be said was said. It is for who reads.
func (c *Conn) OnRead(f func()) (before func()) {
	before, c.onRead = c.onRead, f
	return before
}

// Read is for the tls.Conn above.
func (c *Conn) Read(b []byte) (int, error) {
	if f := c.onRead; f != nil {
		c.onRead = nil
		f()
	}
	if c.now == nil {
		return c.Conn.Read(b)
	}
	return c.now(c, b)
}

// Close closes the connection at once; who reads and who writes finds out.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) && c.by != nil {
		c.by.wake(c)
	}
	return err
}
