package nowait

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Conn is a TCP connection whose reads and writes are this package's. Like any
// it waits until it can, to its deadlines; only the calls are other ones.
type Conn struct {
	*net.TCPConn
	raw syscall.RawConn
}

// Wrap gives c these calls if it is a TCP connection, and is c if not.
func Wrap(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c
	}
	return &Conn{t, raw}
}

// NetConn is the connection without them.
func (c *Conn) NetConn() net.Conn { return c.TCPConn }

// transfer is one Read or Write, made so that it costs no allocation.
type transfer struct {
	b     []byte
	n     int
	err   error
	read  func(fd uintptr) (done bool)
	write func(fd uintptr) (done bool)
}

var transfers = sync.Pool{New: func() any {
	t := new(transfer)
	t.read = func(fd uintptr) bool {
		t.n, t.err = retry(Read, int(fd), t.b)
		return !errors.Is(t.err, syscall.EAGAIN)
	}
	t.write = func(fd uintptr) bool {
		for t.err == nil && t.n < len(t.b) {
			var n int
			n, t.err = retry(Write, int(fd), t.b[t.n:])
			t.n += max(n, 0)
		}
		if errors.Is(t.err, syscall.EAGAIN) {
			t.err = nil
			return false
		}
		return true
	}
	return t
}}

func retry(call func(int, []byte) (int, error), fd int, b []byte) (n int, err error) {
	for {
		if n, err = call(fd, b); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t := transfers.Get().(*transfer)
	t.b = b
	err := c.raw.Read(t.read)
	n, failed := t.give()
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, c.failed("read", failed)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (c *Conn) Write(b []byte) (int, error) {
	t := transfers.Get().(*transfer)
	t.b = b
	err := c.raw.Write(t.write)
	n, failed := t.give()
	if err == nil && failed != nil {
		err = c.failed("write", failed)
	}
	return n, err
}

// give is what became of t, which goes back.
func (t *transfer) give() (n int, err error) {
	n, err = t.n, t.err
	t.b, t.n, t.err = nil, 0, nil
	transfers.Put(t)
	return n, err
}

// failed says it as package net does.
func (c *Conn) failed(call string, err error) error {
	return &net.OpError{Op: call, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(call, err)}
}
