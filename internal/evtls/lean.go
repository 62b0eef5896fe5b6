package evtls

import (
	"crypto/tls"
	"sync"
)

// ReadLean is t.Read for a goroutine that reads t, whose raw connection c is,
// and means to wait: it waits without a buffer of crypto/tls, and takes several
// records when there are any. t is read in no other way from then on, nor
// watched.
func (c *Conn) ReadLean(t *tls.Conn, b []byte) (int, error) {
	if c.tls == nil {
		c.tls = t
		if c.raw != nil && canWait && checked() == nil {
			c.now, c.lean = readNow, true
			c.pending.Store(true)
		}
	}
	return c.readWaiting(b)
}

// readWaiting is TryRead by a goroutine that waits.
func (c *Conn) readWaiting(b []byte) (int, error) {
	for {
		n, err := c.TryRead(b)
		if !WouldBlock(err) {
			return n, err
		}
		w := waits.Get().(*waiting)
		w.asked = false
		err = c.raw.Read(w.call)
		waits.Put(w)
		if err != nil {
			return 0, err
		}
		c.pending.Store(true)
	}
}

// waiting is a wait for the socket to have something, bytes or an end.
type waiting struct {
	asked bool
	call  func(fd uintptr) (done bool)
}

var waits = sync.Pool{New: func() any {
	w := new(waiting)
	w.call = func(fd uintptr) bool {
		// What came before the runtime began to listen it does not tell of. What
		// it does tell of we need not ask for.
		if w.asked {
			return true
		}
		w.asked = true
		return readable(int(fd))
	}
	return w
}}
