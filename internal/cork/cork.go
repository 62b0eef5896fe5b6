// Package cork gathers writes to a connection into few system calls. crypto/tls
// makes one write per record, four for 64 KiB; with a Conn below it whoever
// flushes a batch corks, writes, uncorks, and the batch goes out at once:
//
//	raw := cork.New(tcp)
//	c := tls.Server(raw, cfg)
//	...
//	raw.Cork()
//	_, err := c.Write(batch)
//	err = errors.Join(err, raw.Uncork())
//
// Nothing waits for more to come: a cork is as short as the batch. Reading is
// the connection's own. No buffer is held while nothing is corked.
package cork

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"trunkline/internal/nowait"
)

// Size is what one system call takes: 64 KiB in records of any length from
// 200 bytes on. More spills into another call. (Large objects are whole pages:
// 65 KiB would take as much.)
const Size = 72 << 10

// strayMax is what a detached Conn keeps of what was written outside a batch:
// a hundred answers to changes of keys.
const strayMax = 4 << 10

var buffers = sync.Pool{New: func() any { return new([Size]byte) }}

// Conn is a connection whose writes can be gathered. It may be used as any
// net.Conn; one goroutine at a time may cork it.
type Conn struct {
	net.Conn

	turn sync.Mutex // of who writes to the socket; before mu

	mu       sync.Mutex // of what follows; never held over a write
	corked   bool
	detached bool
	pushing  bool        // somebody is about to flush what was written outside a batch
	buf      *[Size]byte // nil: nothing is held
	len      int
	err      error // of a write that its writer was told had been made; for ever
}

func New(c net.Conn) *Conn { return &Conn{Conn: nowait.Wrap(c)} }

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Cork holds back what is written from now on. The room is bounded: a batch
// larger than Size is written as it comes.
func (c *Conn) Cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = true
}

// Uncork writes what was held back. It waits for the socket as Write does, to
// the write deadline. After an error the connection takes no more writes:
// something is missing in them.
func (c *Conn) Uncork() error { return c.flush(true) }

// TryUncork is Uncork that does not wait. If it is not done, which is no error,
// what is left stays corked until an Uncork by who may wait. try writes what it
// can at once.
func (c *Conn) TryUncork(try func([]byte) (int, error)) (done bool, err error) {
	if !c.turn.TryLock() {
		return false, nil
	}
	defer c.turn.Unlock()
	c.mu.Lock() // over a write, though one that does not wait
	defer c.mu.Unlock()
	if c.buf != nil && c.err == nil {
		var n int
		n, c.err = try(c.buf[:c.len])
		if c.err == nil && n < c.len {
			c.len = copy(c.buf[:], c.buf[n:c.len])
			return false, nil
		}
	}
	if c.buf != nil {
		buffers.Put(c.buf)
	}
	c.buf, c.len, c.pushing, c.corked = nil, 0, false, false
	return true, c.err
}

// TryWrite is Write that does not wait: what does not go out at once is corked,
// and not done. b is of Size at most.
func (c *Conn) TryWrite(b []byte, try func([]byte) (int, error)) (done bool, err error) {
	if !c.turn.TryLock() {
		return c.keep(b)
	}
	defer c.turn.Unlock()
	c.mu.Lock()
	clear := c.buf == nil && c.err == nil
	c.mu.Unlock()
	if !clear {
		return c.keep(b)
	}
	n, err := try(b)
	if err != nil || n == len(b) {
		return true, err
	}
	return c.keep(b[n:])
}

// TryWriteAll is TryWrite of several pieces, of Size in sum at most.
func (c *Conn) TryWriteAll(bs net.Buffers, try func(net.Buffers) (int, error)) (done bool, err error) {
	n := 0
	if c.turn.TryLock() {
		defer c.turn.Unlock()
		c.mu.Lock()
		clear := c.buf == nil && c.err == nil
		c.mu.Unlock()
		if clear {
			if n, err = try(bs); err != nil {
				return true, err
			}
		}
	}
	done = true
	for _, b := range bs {
		gone := min(n, len(b))
		if n -= gone; gone == len(b) {
			continue
		}
		if done, err = c.keep(b[gone:]); err != nil {
			return true, err
		}
	}
	return done, nil
}

func (c *Conn) keep(b []byte) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return true, c.err
	case c.len+len(b) > Size:
		c.err = errBacklog
		return true, c.err
	case c.buf == nil:
		c.buf = buffers.Get().(*[Size]byte)
	}
	c.len += copy(c.buf[c.len:], b)
	c.corked = true
	return false, nil
}

// WriteAll is Write of several pieces in as few system calls as can be.
func (c *Conn) WriteAll(bs net.Buffers) error {
	if err := c.flush(false); err != nil {
		return err
	}
	v := vectors.Get().(*net.Buffers)
	defer vectors.Put(v)
	*v = bs
	c.turn.Lock()
	defer c.turn.Unlock()
	_, err := v.WriteTo(c.Conn)
	*v = nil
	return err
}

// vectors are what WriteTo takes by address.
var vectors = sync.Pool{New: func() any { return new(net.Buffers) }}

// Detach is for a connection that is read where nothing may wait. crypto/tls
// writes while it reads, when the peer changes its keys or errs; from now on
// what is written outside a batch, or while one waits for the socket, is kept
// for a goroutine to send. A batch of more than Size-strayMax would wait all
// the same, with TLS's lock in its hand.
func (c *Conn) Detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.detached = true
}

// errBacklog is a peer that keeps TLS answering and takes none of it.
var errBacklog = errors.New("cork: too much waits to be sent outside a batch")

func (c *Conn) Write(b []byte) (int, error) {
	for {
		verdict, err := c.hold(b)
		switch {
		case err != nil:
			return 0, err
		case verdict == held:
			return len(b), nil
		case verdict == through:
			return c.writeThrough(b)
		}
		if err := c.flush(false); err != nil {
			return 0, err
		}
	}
}

func (c *Conn) writeThrough(b []byte) (int, error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	return c.Conn.Write(b)
}

// What becomes of a write.
const (
	held    = iota
	through // to the socket as it is
	full    // there is no room until a flush
)

func (c *Conn) hold(b []byte) (verdict int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return full, c.err
	case !c.corked && !c.detached, c.corked && len(b) > Size && c.buf == nil:
		return through, nil
	case !c.corked && c.len+len(b) > strayMax:
		c.err = errBacklog
		return full, c.err
	case c.len+len(b) > Size:
		return full, nil
	}
	if c.buf == nil {
		c.buf = buffers.Get().(*[Size]byte)
	}
	c.len += copy(c.buf[c.len:], b)
	if !c.corked && !c.pushing {
		c.pushing = true
		go func() { _ = c.flush(false) }() // its error is for whoever writes next
	}
	return held, nil
}

// flush sends what is held. Who takes its turn takes all there is, so bytes
// keep their order.
func (c *Conn) flush(uncork bool) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	if uncork {
		c.corked = false
	}
	buf, n, err := c.buf, c.len, c.err
	c.buf, c.len, c.pushing = nil, 0, false
	c.mu.Unlock()
	if buf == nil {
		return err
	}
	defer buffers.Put(buf)
	if err != nil {
		return err
	}
	if _, err = c.Conn.Write(buf[:n]); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = err
	}
	return err
}

// CloseWrite ends our side of the connection, behind what is held back. Where
// the connection has no such thing it only does the latter.
func (c *Conn) CloseWrite() error {
	if err := c.flush(false); err != nil {
		return err
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// HangUp ends our side of TLS and then of the connection, by the deadline. The
// TLS connection's own CloseWrite lets no write deadline stand, and so loses
// what a detached Conn has yet to send.
func (c *Conn) HangUp(t *tls.Conn, deadline time.Time) error {
	c.Cork()
	err := t.CloseWrite()
	if errD := c.SetWriteDeadline(deadline); errD != nil {
		return errD
	}
	return errors.Join(err, c.CloseWrite())
}
