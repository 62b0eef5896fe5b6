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
	"net"
	"sync"
)

// Size is what one system call takes: 64 KiB in records of any length from
// 200 bytes on. More spills into another call. (Large objects are whole pages:
// 65 KiB would take as much.)
const Size = 72 << 10

var buffers = sync.Pool{New: func() any { return new([Size]byte) }}

// Conn is a connection whose writes can be gathered. It may be used as any
// net.Conn; one goroutine at a time may cork it.
type Conn struct {
	net.Conn

	mu     sync.Mutex // of what follows, and of writing: records keep their order
	corked bool
	buf    *[Size]byte // nil: nothing is held
	held   int
	err    error // of a write that its writer was told had been made; for ever
}

func New(c net.Conn) *Conn { return &Conn{Conn: c} }

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
func (c *Conn) Uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = false
	return c.flushLocked()
}

func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, c.err
	case !c.corked:
		return c.Conn.Write(b)
	case c.held+len(b) > Size:
		if err := c.flushLocked(); err != nil {
			return 0, err
		}
		if len(b) > Size {
			return c.Conn.Write(b)
		}
	}
	if c.buf == nil {
		c.buf = buffers.Get().(*[Size]byte)
	}
	c.held += copy(c.buf[c.held:], b)
	return len(b), nil
}

func (c *Conn) flushLocked() error {
	if c.buf == nil {
		return c.err
	}
	if c.err == nil {
		_, c.err = c.Conn.Write(c.buf[:c.held])
	}
	buffers.Put(c.buf)
	c.buf, c.held = nil, 0
	return c.err
}

// CloseWrite ends our side of the connection, behind what is held back. Where
// the connection has no such thing it only does the latter.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.flushLocked(); err != nil {
		return err
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
