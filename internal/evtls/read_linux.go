package evtls

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"trunkline/internal/nowait"
)

// reading is one read(2), made so that it costs no allocation.
type reading struct {
	b    []byte
	n    int
	err  error
	call func(fd uintptr)
	heed func(fd uintptr) bool // call, for who minds the deadline
}

var readings = sync.Pool{New: func() any {
	r := new(reading)
	r.call = func(fd uintptr) {
		for {
			r.n, r.err = nowait.Read(int(fd), r.b)
			if !errors.Is(r.err, syscall.EINTR) {
				return
			}
		}
	}
	r.heed = func(fd uintptr) bool { r.call(fd); return true }
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
	var no error // it was closed, or the deadline is over
	if c.lean {
		no = c.raw.Read(r.heed)
	} else {
		no = c.raw.Control(r.call) // does without a deadline and a lock
	}
	n, err := r.n, r.err
	r.b, r.err = nil, nil
	readings.Put(r)
	switch {
	case no != nil:
		c.pending.Store(true) // it was not read
		return 0, no
	case errors.Is(err, syscall.EAGAIN):
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
