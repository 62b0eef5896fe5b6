package evtls

import "errors"

// wouldBlock says "temporary", which makes crypto/tls keep what it has of a
// record and go on with the next Read. Every other error it keeps for ever.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "evtls: nothing to read now" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

// ErrWouldBlock is TryRead's when nothing is there.
var ErrWouldBlock error = wouldBlock{}

func WouldBlock(err error) bool { return errors.Is(err, ErrWouldBlock) }

// TryRead reads of a watched connection what is there, up to len(b) bytes, and
// is to be called by ready only. It gives bytes or an error, not both.
func (c *Conn) TryRead(b []byte) (n int, err error) {
	switch {
	case c.now == nil:
		n, err = c.tls.Read(b)
	case c.tls == nil:
		return c.now(c, b)
	case c.drained && c.quiet():
		return 0, ErrWouldBlock
	default:
		n, err = c.readAll(b)
	}
	if n > 0 {
		return n, nil // crypto/tls gives the error again
	}
	return 0, err
}

// readAll reads records until b is full or there are no more.
func (c *Conn) readAll(b []byte) (n int, err error) {
	c.lend()
	c.drained = false
	for n < len(b) && err == nil {
		if c.lacks() {
			if err = c.fetch(); err == nil {
				continue
			}
			if WouldBlock(err) {
				break
			}
		}
		var m int
		m, err = c.tls.Read(b[n:])
		n += m
		c.ended = err != nil && !WouldBlock(err)
	}
	if err != nil {
		c.takeBack()
		c.drained = WouldBlock(err)
	}
	return n, err
}

// quiet is a socket that nothing is known to have come from.
func (c *Conn) quiet() bool { return !c.pending.Load() && !c.closed.Load() }
