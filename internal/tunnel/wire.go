package tunnel

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"trunkline/internal/mux"
)

// wire is the TLS connection below the multiplexer, and what its raw
// connection may be able to do beyond reading and writing.
type wire struct {
	tls  *tls.Conn
	raw  net.Conn
	poll poller // nil: it cannot
	cork corker // is there if poll is
}

type (
	// poller is a raw connection that says when there is something to read, so that
	// nobody has to wait. TryTake's error is Temporary when there is nothing.
	poller interface {
		corker
		ReadLean(t *tls.Conn, b []byte) (int, error) // lets TLS have no buffer while its reader waits
		Thrift(t *tls.Conn)                          // has TLS hold less while nothing comes
		Watch(t *tls.Conn, ready func() (again bool)) error
		TryTake(rooms func() room) (room, [][]byte, error)
		Pollable() bool                           // Watch takes no goroutine
		TryWrite(b []byte) (done bool, err error) // does not wait, if it is Pollable and watched; Uncork waits for what is left
	}
	// corker is one that takes the records of a write in one system call.
	corker interface {
		Cork()
		Uncork() error
		HangUp(t *tls.Conn, deadline time.Time) error
	}
)

// room is memory that is read into: a *mux.Segment.
type room = interface {
	Bytes() []byte
	Alone() bool
	Release()
}

func newRoom() room { return mux.NewRoom() }

func newWire(c *tls.Conn) wire {
	w := wire{tls: c, raw: c.NetConn()}
	w.poll, _ = w.raw.(poller)
	w.cork, _ = w.raw.(corker)
	return w
}

// Read waits for bytes.
func (w *wire) Read(b []byte) (int, error) {
	if w.poll != nil {
		return w.poll.ReadLean(w.tls, b)
	}
	return w.tls.Read(b)
}

// write writes what may be several records.
func (w *wire) write(b []byte) error {
	if w.cork == nil {
		_, err := w.tls.Write(b)
		return err
	}
	w.cork.Cork()
	_, err := w.tls.Write(b)
	return errors.Join(err, w.cork.Uncork())
}

// hangUp ends what we send, with everything before it delivered until then;
// the peer hears the end and closes.
func (w *wire) hangUp(by time.Time) {
	if w.cork != nil {
		_ = w.cork.HangUp(w.tls, by)
		return
	}
	closeWrite(w.tls)
}

// closeWrite says the end of our side on TLS and, where there is such a
// thing, on the socket. Errors mean that nobody is there to hear it.
func closeWrite(c *tls.Conn) {
	_ = c.CloseWrite()
	if half, ok := c.NetConn().(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// nothingNow tells a poller's "nothing is there" from the end.
func nothingNow(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}
