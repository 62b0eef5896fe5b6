package tunnel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"

	"trunkline/internal/fault"
)

// past is a deadline that has gone by, to wake whoever waits.
var past = time.Unix(1, 0)

// yamux's receive buffer never shrinks by itself. A stream that once had a
// backlog above shrinkAbove gives it back when its reader has caught up, though
// not at once: a busy stream would have to grow it again, at half the speed.
const (
	shrinkAbove = 128 << 10
	shrinkAfter = time.Second
)

// errClosedByPeer is a write to a stream that the far side closed.
var errClosedByPeer = fmt.Errorf("tunnel stream: closed by the far side: %w", syscall.EPIPE)

var errReset = fmt.Errorf("tunnel stream: %w", syscall.ECONNRESET)

// conn is a stream as a net.Conn, with our close rule: a close by either side
// ends both directions. What arrived before the far side's close stays
// readable; a write fails at once, also one that waits for a window that
// nobody will open any more, where yamux would wait for ever.
type conn struct {
	t  *session
	id uint32

	arrived   atomic.Int64 // bytes of data that came in
	consumed  atomic.Int64 // bytes of them that Read gave out
	peak      atomic.Int64 // the largest backlog since the last shrink
	shrinking atomic.Bool  // a shrink is on its way
	closed    atomic.Bool  // by us
	ended     atomic.Bool  // by the far side
	onClose   func()

	mu  sync.Mutex // makes attach, farClose and the deadlines one after the other
	mux *yamux.Stream
}

// attach gives c its stream. The far side's close may have come before.
func (c *conn) attach(m *yamux.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mux = m
	if c.ended.Load() {
		c.answerClose()
	}
}

// arrive is called, before yamux sees it, for every data frame.
func (c *conn) arrive(n uint32) {
	if backlog := c.arrived.Add(int64(n)) - c.consumed.Load(); backlog > c.peak.Load() {
		c.peak.Store(backlog)
	}
}

// farClose is called, before yamux sees it, for the far side's FIN or RST.
func (c *conn) farClose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended.Store(true)
	if c.mux != nil {
		c.answerClose()
	}
}

// answerClose wakes a waiting writer and sends our FIN, which lets both ends
// forget the stream. What is buffered remains for the reader.
func (c *conn) answerClose() {
	_ = c.mux.SetWriteDeadline(past)
	c.t.sendFIN(c.mux)
}

func (c *conn) Read(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	if len(b) == 0 {
		return 0, nil
	}
	n, err := c.mux.Read(b)
	if n > 0 {
		// An error beside data is a window update that could not be sent. The
		// socket is stuck then, and the next Read or the ping says so.
		c.consumed.Add(int64(n))
		c.shrinkLater()
		return n, nil
	}
	return 0, c.readError(err)
}

func (c *conn) shrinkLater() {
	if c.peak.Load() <= shrinkAbove || !c.caughtUp() || c.shrinking.Swap(true) {
		return
	}
	time.AfterFunc(shrinkAfter, func() {
		c.shrinking.Store(false)
		if c.caughtUp() {
			c.peak.Store(0)
			c.mux.Shrink()
		}
	})
}

func (c *conn) caughtUp() bool { return c.arrived.Load() == c.consumed.Load() }

func (c *conn) Write(b []byte) (int, error) {
	total := 0
	for {
		switch {
		case c.closed.Load():
			return total, net.ErrClosed
		case c.ended.Load():
			return total, errClosedByPeer
		case len(b) == 0:
			return total, nil
		}
		// yamux makes a frame as long as the window allows, and all other
		// streams and the pings would stand behind it.
		n, err := c.mux.Write(b[:min(len(b), maxBody)])
		total += n
		b = b[n:]
		if err != nil {
			return total, c.writeError(err)
		}
	}
}

// readError turns yamux's error into one that a caller can tell. yamux says
// EOF also when the whole session went away; only the far side's own close,
// with every byte before it read, is an end.
func (c *conn) readError(err error) error {
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case errors.Is(err, yamux.ErrConnectionReset):
		return errReset
	case errors.Is(err, yamux.ErrTimeout):
		return os.ErrDeadlineExceeded
	case errors.Is(err, io.EOF) && c.ended.Load() && c.caughtUp():
		return io.EOF
	}
	return errLost
}

func (c *conn) writeError(err error) error {
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case errors.Is(err, yamux.ErrConnectionReset):
		return errReset
	case errors.Is(err, yamux.ErrConnectionWriteTimeout):
		// The frame may go out later all the same, and yamux's account of the
		// window is wrong from here on.
		_ = c.Close()
		return errLost
	case c.ended.Load():
		return errClosedByPeer
	case errors.Is(err, yamux.ErrTimeout):
		return os.ErrDeadlineExceeded
	}
	return errLost
}

var errLost = fault.New(fault.ConnectionLost, "The connection to the other end of the tunnel broke.")

// Close ends the stream in both directions and does not wait for the socket.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.t.forget(c.id)
	c.mu.Lock()
	_ = c.mux.SetReadDeadline(past)
	_ = c.mux.SetWriteDeadline(past)
	c.mu.Unlock()
	c.t.sendFIN(c.mux)
	if c.onClose != nil {
		c.onClose()
	}
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return net.ErrClosed
	}
	return c.mux.SetReadDeadline(t)
}

// SetWriteDeadline bounds the wait for the stream's window. The wait for the
// socket is the tunnel's own affair, which ends with the tunnel.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return net.ErrClosed
	}
	if c.ended.Load() {
		return nil // the writer must stay awake
	}
	return c.mux.SetWriteDeadline(t)
}

func (c *conn) LocalAddr() net.Addr  { return c.t.wire.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.t.wire.RemoteAddr() }
