package edge

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"trunkline/internal/fault"
)

// upload carries a request's body to the portal while the exchange waits for
// the answer, which may come first.
type upload struct {
	done    chan struct{} // closed when nobody reads the browser any more
	browser error         // why the browser's side failed; valid after done
	portal  error         // why the portal's did
	moved   atomic.Int64  // instant of the last progress
	halt    chan struct{} // closed by stopUpload; nil unless bytes are limited
	stopped atomic.Bool   // by us: what fails then is nobody's fault
}

// startUpload takes over the reading of the browser's connection.
func (x *exchange) startUpload(body io.Reader) *upload {
	u := &upload{done: make(chan struct{})}
	if x.over != nil {
		u.halt = make(chan struct{})
	}
	u.moved.Store(instant(time.Now()))
	x.uploading.Store(true)
	x.c.roll(x.e.o.Limits.Progress)
	busy := x.guest.Busy // now: the answer may come first, and be a stream of events
	go func() {
		defer close(u.done)
		x.carryUp(u, body, busy)
		x.uploading.Store(false)
		switch {
		case u.stopped.Load():
			u.browser = nil
		case u.browser != nil:
			x.link.Reset() // wakes who waits for the answer
		case u.portal == nil:
			x.c.watchOn(x)
		}
	}()
	return u
}

// carryUp copies the body, making the chunks of a chunked one anew.
func (x *exchange) carryUp(u *upload, body io.Reader, busy func()) {
	buf := getBuf(largeBuf)
	defer putBuf(buf)
	chunked, left := x.req.length < 0, x.req.length
	due := toll{x: x}
	defer due.settle()
	var armed time.Time
	for {
		due.wait(u.halt)
		n, err := body.Read(buf[headRoom : len(buf)-tailRoom])
		if n > 0 {
			x.in.Add(int64(n))
			due.owed += n
			left -= int64(n)
			out := buf[headRoom : headRoom+n]
			if chunked {
				out = frameChunk(buf, headRoom, headRoom+n)
			}
			if now := time.Now(); now.Sub(armed) > x.link.limit/8 {
				armed = now
				u.moved.Store(instant(now))
				if busy != nil {
					busy()
				}
				u.portal = x.link.SetWriteDeadline(now.Add(x.link.limit))
			}
			if u.portal == nil {
				_, u.portal = x.link.Write(out)
			}
			if u.portal != nil {
				return
			}
		}
		switch {
		case err == io.EOF && chunked:
			_, u.portal = x.link.Write([]byte("0\r\n\r\n"))
			return
		case err == io.EOF && left > 0:
			u.browser = errGone
			return
		case err == io.EOF || err == nil && !chunked && left == 0:
			return
		case err != nil:
			u.browser = browserError(err)
			return
		}
	}
}

// frameChunk makes buf[from:to] a chunk, in the room around it.
func frameChunk(buf []byte, from, to int) []byte {
	var size [headRoom]byte
	s := append(strconv.AppendInt(size[:0], int64(to-from), 16), "\r\n"...)
	from -= len(s)
	copy(buf[from:], s)
	buf[to], buf[to+1] = '\r', '\n'
	return buf[from : to+2]
}

// browserError says why a body could not be read: malformed, which can be
// answered, or gone.
func browserError(err error) error {
	var transport net.Error
	switch {
	case isTimeout(err):
		return fault.New(fault.HelloTimeout, "The upload stood still for too long.")
	case errors.As(err, &transport) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errGone
	}
	return fault.New(fault.Invalid, "The request's body is malformed.")
}

// stopUpload ends an upload that has become pointless. The connection cannot
// be used for another request.
func (x *exchange) stopUpload(u *upload) {
	if u == nil {
		return
	}
	select {
	case <-u.done:
		return
	default:
	}
	u.stopped.Store(true)
	if u.halt != nil {
		close(u.halt)
	}
	x.c.interrupt()
	_ = x.link.SetWriteDeadline(past)
	<-u.done
}

// settleUpload waits the moment an upload needs to notice that it has sent
// its last byte, and reports whether it has ended.
func settleUpload(u *upload) bool {
	if u == nil {
		return true
	}
	select {
	case <-u.done:
		return true
	default:
	}
	t := time.NewTimer(20 * time.Millisecond)
	defer t.Stop()
	select {
	case <-u.done:
		return true
	case <-t.C:
		return false
	}
}
