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
	taken   *taking                              // the same for TryTake
	drained bool                                 // it has nothing to hand out but when the socket has
	deaf    bool                                 // crypto/tls shall not read the socket
	ended   bool                                 // it has said an error, and may say it again
	failed  error                                // what the socket said, and crypto/tls has not heard

	// Set by Watch.
	ready func() (again bool)
	by    waker

	onRead func() // see OnRead

	slot    int32       // the loop's
	queued  bool        // guarded by the loop's mu
	pending atomic.Bool // the socket may have something
	hangup  atomic.Bool // the peer's end has been seen: read up to it
	watched atomic.Bool // by is there to be told of Close
	closed  atomic.Bool
}

type waker interface {
	watch(*Conn) error
	wake(*Conn)
	forget(*Conn)
	later(func())
}

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
//
// t may be nil: then c is read as it is.
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
		c.tellClosed()
		return nil
	}
	if t != nil {
		c.Detach()
	}
	c.by = p.loops[int(p.next.Add(1))%len(p.loops)]
	if err := c.by.watch(c); err != nil {
		return err
	}
	c.tellClosed()
	return nil
}

// tellClosed has Close tell by from now on, and does so for one that came before.
func (c *Conn) tellClosed() {
	c.watched.Store(true)
	if c.closed.Load() {
		c.by.wake(c)
	}
}

// Pollable reports whether Watch takes no goroutine.
func (c *Conn) Pollable() bool { return c.poller != nil && len(c.poller.loops) > 0 && c.raw != nil }

// Blocking says who reads c from now on: whoever calls Read, or ReadLean where
// there is TLS, and waits in it; or ready again. It is called by the one who
// reads no more. In the first case ready must not read, though it may be called.
func (c *Conn) Blocking(on bool) { c.lean = on }

// Pending reports that the socket may have something that nobody has read, or
// has been closed.
func (c *Conn) Pending() bool { return c.pending.Load() || c.closed.Load() }

// Unwatch ends Watch: c is read by Read, or ReadLean, from then on. Once more
// ready may be called.
func (c *Conn) Unwatch() {
	c.by.forget(c)
	c.lean = true
	if c.tls == nil {
		c.now = nil // Read as ever
	}
}

// Rewatch takes an Unwatch back. It is called by who has read, as Blocking is.
func (c *Conn) Rewatch() error {
	c.lean = false
	return c.by.watch(c)
}

// Later has f called when all that have something to read now have had their
// turn. It is called by ready only.
func (c *Conn) Later(f func()) { c.by.later(f) }

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
	switch {
	case c.failed != nil:
		err := c.failed
		c.failed = nil
		return 0, err
	case c.deaf:
		return 0, ErrWouldBlock
	case c.now == nil:
		return c.Conn.Read(b)
	case c.tls == nil:
		return c.readWaiting(b)
	}
	return c.now(c, b)
}

// TryWrite writes b, at most 64 KiB, and does not wait: what does not go out at
// once goes with an Uncork by who may wait, and done is false. It is for
// watched connections.
func (c *Conn) TryWrite(b []byte) (done bool, err error) {
	if c.tls == nil {
		return c.Conn.TryWrite(b, c.writeNow)
	}
	c.Cork()
	_, err = c.tls.Write(b)
	done, errU := c.Conn.TryUncork(c.writeNow)
	return done, errors.Join(err, errU)
}

// TryWriteAll is TryWrite of several pieces, for connections without TLS.
func (c *Conn) TryWriteAll(bs net.Buffers) (done bool, err error) {
	return c.Conn.TryWriteAll(bs, c.writevNow)
}

// Close closes the connection at once; who reads and who writes finds out.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) && c.watched.Load() {
		c.by.wake(c)
	}
	return err
}
