package evtls

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"

	"trunkline/internal/nowait"
)

// writing is one write(2), made so that it costs no allocation.
type writing struct {
	b    []byte
	n    int
	err  error
	call func(fd uintptr)
}

var writings = sync.Pool{New: func() any {
	w := new(writing)
	w.call = func(fd uintptr) {
		for {
			w.n, w.err = nowait.Write(int(fd), w.b)
			if !errors.Is(w.err, syscall.EINTR) {
				return
			}
		}
	}
	return w
}}

// writeNow writes what the socket takes at once. It knows no deadline.
func (c *Conn) writeNow(b []byte) (int, error) {
	w := writings.Get().(*writing)
	w.b = b
	closed := c.raw.Control(w.call)
	n, err := w.n, w.err
	w.b, w.n, w.err = nil, 0, nil
	writings.Put(w)
	return c.wrote("write", n, err, closed)
}

// wrote is what a call that writes comes to, if it does not wait: nothing when the
// socket takes nothing.
func (c *Conn) wrote(call string, n int, err, closed error) (int, error) {
	switch {
	case closed != nil:
		return 0, closed
	case errors.Is(err, syscall.EAGAIN):
		return 0, nil
	case err != nil:
		return 0, &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(call, err)}
	}
	return n, nil
}
