package edge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// reply passes the answer on. From its first byte on, an error means that the
// browser must see a break.
func (x *exchange) reply(u *upload, a *answer) error {
	x.status = a.status
	uploaded := settleUpload(u)
	if !uploaded && a.status >= 300 {
		x.stopUpload(u) // a refusal: the rest of the body has no reader
	}
	length, chunked := a.body(x.req.method)
	delimited := length >= 0 || !x.req.http10
	whole := uploaded && (u == nil || u.browser == nil && u.portal == nil)
	keep := x.keepBrowser(delimited, whole)
	x.c.linger = x.c.linger || !whole

	out := getBuf(smallBuf)
	defer putBuf(out)
	head := x.appendFraming(x.appendAnswer(out[:0], a), a, length, keep)
	d := &x.down
	*d = download{due: toll{x: x}, x: x, l: x.link, left: length, chunked: chunked, reframe: length < 0 && !x.req.http10}
	if a.events() {
		x.guest.Busy = nil
	}
	err := d.run(head)
	x.stopUpload(u)
	if err != nil {
		return err
	}
	x.c.mute = x.ctx != nil
	x.c.stopWatch()
	switch l := x.link; {
	case !whole || x.cause.Load() != nil:
		x.e.pool.drop(l)
	case a.keep && (length >= 0 || chunked):
		x.e.pool.put(l)
	default:
		x.e.pool.finish(l)
	}
	return nil
}

// appendFraming ends the browser's head.
func (x *exchange) appendFraming(b []byte, a *answer, length int64, keep bool) []byte {
	bodiless := x.req.method == "HEAD" || a.status == 304
	switch {
	case bodiless && a.length >= 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), a.length, 10), "\r\n"...)
	case bodiless && a.chunked && !x.req.http10:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case bodiless || a.status == 204:
	case length >= 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), length, 10), "\r\n"...)
	case !x.req.http10:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case !keep:
		b = append(b, "Connection: close\r\n"...)
	case x.req.http10:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}

// download carries an answer's body to the browser, each piece as it comes.
type download struct {
	x       *exchange
	l       *link
	left    int64 // of a body with a length; -1
	chunked bool  // the portal's framing
	reframe bool  // the browser's
	chunks  chunkReader
	head    []byte        // not sent yet
	front   [2][]byte     // the head and what came with it, to go before what is lent
	parts   [2 + 8][]byte // both, for one write: a stream lends 8 pieces at most
	due     toll

	held   bool  // the browser's socket has not taken all that came in a loop
	broken error // it takes nothing any more
}

func (d *download) run(head []byte) error {
	d.head = head
	defer d.due.settle()
	if err := d.begin(); err != nil {
		return err
	}
	for {
		end, err := d.piece()
		if err != nil {
			return err
		}
		if end {
			break
		}
		now := time.Now()
		if now.Sub(d.x.toldAt) > countEvery {
			d.x.count(now)
		}
		if err := d.more(now); err != nil {
			return err
		}
	}
	if d.reframe {
		return d.write(lastChunk)
	}
	return d.write(nil)
}

// begin has the head of a long body go out with all of it that is there.
func (d *download) begin() error {
	b := d.l.data()
	if d.l.lender == nil || d.chunked || d.left-int64(len(b)) <= smallBuf {
		return nil
	}
	d.front = [2][]byte{d.head, b}
	d.head = nil
	d.l.r = d.l.w
	d.take(len(b))
	n, err := d.l.lender.TryLend(int(min(d.left, largeBuf)), d.passer())
	if n == 0 { // nothing is there yet, or an error that the next read will meet
		err = d.pass(nil)
	}
	return err
}

// take counts n bytes of the body as passed on.
func (d *download) take(n int) {
	d.left -= int64(n)
	d.x.out.Add(int64(n))
	d.due.owed += n
}

var lastChunk = []byte("0\r\n\r\n")

// more reads on. Where the portal ends a body by closing, that is its end.
func (d *download) more(now time.Time) error {
	if err := d.write(nil); err != nil { // what there is goes out before any wait
		return err
	}
	if d.due.wait(nil) {
		now = time.Now()
	}
	if err := d.l.arm(now); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	var err error
	if d.lends() {
		var fed bool
		if fed, err = d.feed(now); !fed && err == nil {
			_, err = d.l.lender.Lend(int(min(d.left, largeBuf)), d.passer())
		}
	} else {
		_, err = d.l.fill()
	}
	if err == nil || errors.Is(err, errGone) {
		return err
	}
	if errors.Is(err, io.EOF) {
		if d.left < 0 && !d.chunked {
			d.left = 0
			return nil
		}
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read answer: %w", err)
}

// lends says that the rest of the body passes as it is: then it need not come
// into a buffer of ours, which is given back.
func (d *download) lends() bool {
	if d.l.lender == nil || d.left <= smallBuf || d.chunked || d.l.r != d.l.w {
		return false
	}
	d.l.drop()
	return true
}

// passer is d.pass, bound once: the connection's next exchanges have their
// downloads in the same place.
func (d *download) passer() func(net.Buffers) error {
	if d.x.c.pass == nil {
		d.x.c.pass = d.pass
	}
	return d.x.c.pass
}

// pass is for what is lent.
func (d *download) pass(bs net.Buffers) error {
	for _, b := range bs {
		d.take(len(b))
	}
	if d.front[0] != nil {
		bs = append(append(d.parts[:0], d.front[:]...), bs...)
		d.front = [2][]byte{}
	}
	d.x.answers()
	if err := d.x.c.writeAll(bs); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// piece passes on what is in the buffer and reports whether that was the last.
func (d *download) piece() (end bool, err error) {
	l := d.l
	if d.chunked {
		n, end, err := d.chunks.decode(l.buf[l.r:l.w])
		if err != nil {
			return false, err
		}
		from := l.r
		l.r += d.chunks.used
		return end, d.send(from, from+n)
	}
	n := l.w - l.r
	if d.left >= 0 {
		n = int(min(int64(n), d.left))
		d.left -= int64(n)
	}
	from := l.r
	l.r += n
	return d.left == 0, d.send(from, from+n)
}

// send passes buf[from:to] on, as a chunk if need be. The two bytes behind it
// are borrowed: they may be the portal's next ones.
func (d *download) send(from, to int) error {
	if from == to {
		return nil
	}
	d.x.out.Add(int64(to - from))
	d.due.owed += to - from
	b := d.l.buf
	if !d.reframe {
		return d.write(b[from:to])
	}
	next := [2]byte{b[to], b[to+1]}
	err := d.write(frameChunk(b, from, to))
	b[to], b[to+1] = next[0], next[1]
	return err
}

// write sends p behind the head, if that is still here, and with it if it fits.
func (d *download) write(p []byte) error {
	if h := d.head; h != nil {
		if len(h)+len(p) <= cap(h) || len(p) == 0 {
			p = append(h, p...)
		} else if err := d.put(h); err != nil {
			return err
		}
		d.head = nil
	}
	if len(p) == 0 {
		return nil
	}
	return d.put(p)
}

func (d *download) put(p []byte) error {
	d.x.answers()
	if _, err := d.x.c.Write(p); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}
