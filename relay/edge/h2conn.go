package edge

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// h2Conn is an HTTP/2 stream as a connection with one request of HTTP/1.1 on
// it. What is read from it is the head and then the body as x/net has it; what
// is written to it is taken apart again and goes to x/net at once. So a request
// stays on the goroutine that x/net serves it on, and nothing is copied that
// HTTP/1.1 does not copy.
//
// One goroutine may read and one write; the rest may be called by any.
type h2Conn struct {
	tc    *tls.Conn
	w     http.ResponseWriter
	rc    *http.ResponseController
	r     *http.Request
	limit time.Duration // of a request's body standing still
	count func(reason string)

	ready []byte // to be read before more of the body is
	body  int64  // what is left of it, or what kind it is

	accept string // what the portal must answer a WebSocket's handshake with; "": it is none
	headed bool   // the answer's head is out
	answer int64  // what is left of its body, or what kind it is

	mu       sync.Mutex // guards what follows, and w's life: see release
	stall    *time.Timer
	slow     *time.Timer
	deadline time.Time     // of writes
	due      bool          // reads are to end
	wake     chan struct{} // closed when they are; nil unless one waits
	reading  bool          // the body is
	writing  bool
	whole    bool // the answer is out to its end
	killed   bool
	closed   bool
	released bool
}

// Kinds of bodies without a length that is known.
const (
	inChunks int64 = -1
	asItIs   int64 = -2 // a tunnel's: until either side ends it
)

func newH2Conn(w http.ResponseWriter, r *http.Request, tc *tls.Conn, head []byte, e *Edge) *h2Conn {
	return &h2Conn{tc: tc, count: e.m.h2Error, w: w, rc: http.NewResponseController(w), r: r, limit: e.o.Limits.Progress, ready: head, body: r.ContentLength}
}

func (c *h2Conn) LocalAddr() net.Addr  { return c.tc.LocalAddr() }
func (c *h2Conn) RemoteAddr() net.Addr { return c.tc.RemoteAddr() }

// Read gives the request. After its end it waits for the stream's.
func (c *h2Conn) Read(p []byte) (int, error) {
	switch {
	case len(c.ready) > 0:
		n := copy(p, c.ready)
		c.ready = c.ready[n:]
		return n, nil
	case c.body == 0:
		return 0, c.await()
	case c.body == inChunks:
		return c.readChunk(p)
	}
	n, err := c.readBody(p)
	if c.body > 0 {
		c.body -= int64(n)
	}
	return n, err
}

// readChunk makes a chunk of what there is.
func (c *h2Conn) readChunk(p []byte) (int, error) {
	const least = headRoom + 32 + tailRoom
	buf := p
	if len(buf) < least {
		buf = make([]byte, least)
	}
	n, err := c.readBody(buf[headRoom : len(buf)-tailRoom])
	switch {
	case errors.Is(err, io.EOF):
		c.body = 0
		c.ready = lastChunk
	case err != nil:
		return 0, err
	default:
		c.ready = frameChunk(buf, headRoom, headRoom+n)
	}
	n = copy(p, c.ready) // what remains is in a buffer that is not p
	c.ready = c.ready[n:]
	return n, nil
}

func (c *h2Conn) readBody(p []byte) (int, error) {
	if err := c.beginRead(); err != nil {
		return 0, err
	}
	n, err := c.r.Body.Read(p)
	c.endRead()
	if n > 0 || err == nil || errors.Is(err, io.EOF) || isTimeout(err) {
		return n, err
	}
	return 0, io.ErrUnexpectedEOF // the stream is reset, or its connection has gone
}

func (c *h2Conn) beginRead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.killed || c.closed:
		return net.ErrClosed
	case c.due:
		return os.ErrDeadlineExceeded
	}
	c.reading = true
	switch {
	case c.body == asItIs: // a pump has its own limits
	case c.stall == nil:
		c.stall = time.AfterFunc(c.limit, c.endBody)
	default:
		c.stall.Reset(c.limit)
	}
	return nil
}

func (c *h2Conn) endRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	if c.stall != nil {
		c.stall.Stop()
	}
}

// endBody ends a read that has stood still for too long.
func (c *h2Conn) endBody() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading {
		c.count("slow_body")
	}
	c.endBodyLocked()
}

// endBodyLocked ends a read, and with it the body: x/net cannot read on.
func (c *h2Conn) endBodyLocked() {
	if c.reading && !c.released {
		_ = c.rc.SetReadDeadline(past)
	}
}

// await waits until the browser takes the stream back, or reads are to end.
func (c *h2Conn) await() error {
	c.mu.Lock()
	switch {
	case c.whole || c.killed || c.closed:
		c.mu.Unlock()
		return io.EOF
	case c.due:
		c.mu.Unlock()
		return os.ErrDeadlineExceeded
	}
	wake := make(chan struct{})
	c.wake = wake
	c.mu.Unlock()
	select {
	case <-wake:
		return os.ErrDeadlineExceeded
	case <-c.r.Context().Done():
		return io.EOF
	}
}

// answered reports whether the answer is out to its end; reads end by that too.
func (c *h2Conn) answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whole
}

func (c *h2Conn) wakeLocked() {
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}

// SetReadDeadline ends reads if t has come, and has nothing to do for one that
// has not: x/net has a limit for the head, and the body has one here.
func (c *h2Conn) SetReadDeadline(t time.Time) error {
	due := !t.IsZero() && !t.After(time.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due = due; due {
		c.wakeLocked()
		c.endBodyLocked()
	}
	return nil
}

func (c *h2Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	switch d := time.Until(t); {
	case c.released:
	case c.slow == nil:
		c.slow = time.AfterFunc(d, c.tooSlow)
	default:
		c.slow.Reset(d)
	}
	return nil
}

func (c *h2Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// tooSlow resets the stream if its browser keeps a write waiting.
func (c *h2Conn) tooSlow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing && !c.released && !time.Now().Before(c.deadline) {
		c.count("slow_read")
		_ = c.rc.SetWriteDeadline(past)
	}
}

// Write takes the answer.
func (c *h2Conn) Write(p []byte) (int, error) {
	if err := c.beginWrite(); err != nil {
		return 0, err
	}
	err := c.take(p)
	c.endWrite()
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteAll is Write of several pieces, which are flushed once.
func (c *h2Conn) WriteAll(bs net.Buffers) error {
	if err := c.beginWrite(); err != nil {
		return err
	}
	defer c.endWrite()
	for _, b := range bs[:len(bs)-1] {
		if err := c.takePiece(b); err != nil {
			return err
		}
	}
	return c.take(bs[len(bs)-1])
}

func (c *h2Conn) beginWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.killed || c.closed:
		return net.ErrClosed
	case !c.deadline.IsZero() && time.Now().After(c.deadline):
		return os.ErrDeadlineExceeded
	}
	c.writing = true
	return nil
}

func (c *h2Conn) endWrite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = false
	c.whole = c.headed && c.answer == 0
}

// NetConn is what lies below, for conn.kill: its end is the stream's reset.
func (c *h2Conn) NetConn() net.Conn { return h2Reset{c, c} }

// h2Reset has no NetConn of its own: nothing lies below it.
type h2Reset struct {
	net.Conn
	stream *h2Conn
}

func (r h2Reset) Close() error {
	c := r.stream
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	c.wakeLocked()
	c.endBodyLocked()
	if c.writing && !c.released {
		_ = c.rc.SetWriteDeadline(past)
	}
	return nil
}

// Close ends the stream in order, if the answer has come to its end; a
// tunnel's end is this.
func (c *h2Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.whole = c.whole || c.answer == asItIs
	c.wakeLocked()
	return nil
}

// release lets go of what is x/net's, which its handler must do before it
// returns, and reports whether the answer is whole.
func (c *h2Conn) release() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released = true
	if c.slow != nil {
		c.slow.Stop()
	}
	return c.whole && !c.killed
}
