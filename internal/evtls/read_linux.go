package evtls

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// reading is one read(2), made so that it costs no allocation.
type reading struct {
	b    []byte
	n    int
	err  error
	call func(fd uintptr)
}

var readings = sync.Pool{New: func() any {
	r := new(reading)
	r.call = func(fd uintptr) {
		for {
			r.n, r.err = unix.Read(int(fd), r.b)
			if !errors.Is(r.err, unix.EINTR) {
				return
			}
		}
	}
	return r
}}

// readNow makes one read(2), or none if there can be nothing: a read that did
// not fill b has taken all there was, and what came since is an event.
func readNow(c *Conn, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if !c.pending.Swap(false) {
		if c.closed.Load() {
			return 0, net.ErrClosed
		}
		return 0, ErrWouldBlock
	}
	r := readings.Get().(*reading)
	r.b = b
	// Control and not Read: no deadline, and no wait for another reader.
	closed := c.raw.Control(r.call)
	n, err := r.n, r.err
	r.b, r.err = nil, nil
	readings.Put(r)
	switch {
	case closed != nil:
		return 0, closed
	case errors.Is(err, unix.EAGAIN):
		return 0, ErrWouldBlock
	case err != nil:
		c.pending.Store(true) // whoever asks again is told again
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", err)}
	case n == 0:
		c.pending.Store(true)
		return 0, io.EOF
	case n == len(b) || c.hangup.Load():
		// The end, of which there will be no other event, stands behind the bytes.
		c.pending.Store(true)
	}
	return n, nil
}
