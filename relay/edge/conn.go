package edge

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"trunkline/internal/id"
)

// conn is a browser's connection as fasthttp sees it. It hides that it may be
// TLS (the handshake is done), makes limits rolling, and can be interrupted,
// watched and broken off. fasthttp reads and closes it; answers are written to
// it by the exchange.
type conn struct {
	net.Conn
	remote  netip.Addr
	sni     string
	plain   bool          // behind a TLS-terminating load balancer
	limit   time.Duration // of standing still, writing
	limitR  time.Duration // and reading, when rolling
	closing func(*conn)

	lane *lane  // nil: there is none
	mem  []byte // has come, and is to be read first

	expecting *exchange // between its two parts: see Edge.expect

	host string  // of the last request for a site
	site id.Site // and that site

	forwarded   string     // whom the balancer's last request came from, as it says
	forwardedIP netip.Addr // and as an address

	stage                atomic.Int32            // of its exchange, for Edge.Count
	exchange             *exchange               // the last one's memory is the next one's
	fields, answerFields []field                 // for the exchanges, one after the other
	pass                 func(net.Buffers) error // download.pass, bound once
	poured               func(net.Buffers) bool  // download.pour too

	spoke  bool // has sent a byte
	mute   bool // see Write
	linger bool // the browser may still be sending

	armedW time.Time

	rolling bool // reads have the rolling limit, not fasthttp's

	mu          sync.Mutex // guards what follows
	interrupted bool
	armed       time.Time // the read deadline that Conn has
	wanted      time.Time // the one it should have: armed or later
	busy        bool
	closed      bool
	watch       watch
}

var past = time.Unix(1, 0)

// Read first gives what a watch or a loop has read.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if c.lane != nil {
		c.lane.given += int64(n)
	}
	return n, err
}

func (c *conn) read(p []byte) (int, error) {
	if w := &c.watch; w.has && len(p) > 0 {
		w.has = false
		p[0] = w.b[0]
		return 1, nil
	}
	if len(c.mem) > 0 {
		n := copy(p, c.mem)
		if c.mem = c.mem[n:]; len(c.mem) == 0 {
			c.mem = nil
		}
		return n, nil
	}
	if c.rolling {
		_ = c.setReadDeadline(time.Now().Add(c.limitR))
	}
	for {
		n, err := c.Conn.Read(p)
		c.spoke = c.spoke || n > 0
		if err == nil || !isTimeout(err) || !c.early() {
			return n, err
		}
	}
}

// Write counts progress with every call, so callers write in pieces. When the
// exchange has written its own answer it sets mute, and the one Write with
// which fasthttp sends its empty answer is dropped. fasthttp builds that head
// in one piece, and its writer has no buffer (Edge.newServer).
func (c *conn) Write(p []byte) (int, error) {
	if c.mute {
		c.mute = false
		return len(p), nil
	}
	if err := c.progress(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// writeAll is Write of several pieces, in as few system calls as can be.
func (c *conn) writeAll(bs net.Buffers) error {
	if err := c.progress(); err != nil {
		return err
	}
	if w, ok := c.Conn.(interface{ WriteAll(net.Buffers) error }); ok {
		return w.WriteAll(bs)
	}
	for _, b := range bs {
		if _, err := c.Conn.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// progress keeps the rolling limit on writes.
func (c *conn) progress() error {
	now := time.Now()
	if now.Sub(c.armedW) <= c.limit/8 {
		return nil
	}
	c.armedW = now
	return c.SetWriteDeadline(now.Add(c.limit))
}

// SetReadDeadline is fasthttp's: between requests and for heads.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.setReadDeadline(t)
}

// setReadDeadline leaves a deadline that comes earlier as it is: most requests
// follow each other long before any, and setting one costs more than to find
// out, now and then, that it came too early.
func (c *conn) setReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupted {
		t = past
	}
	c.wanted = t
	if !c.armed.IsZero() && (t.IsZero() || t.After(c.armed)) {
		return nil
	}
	return c.armLocked(t)
}

func (c *conn) armLocked(t time.Time) error {
	c.armed = t
	return c.Conn.SetReadDeadline(t)
}

// early reports whether a Read has ended before its deadline, which it sets.
func (c *conn) early() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupted || !c.wanted.IsZero() && !time.Now().Before(c.wanted) {
		return false
	}
	return c.armLocked(c.wanted) == nil
}

// SetDeadline is called by fasthttp before it hands the connection over. An
// error would keep it from calling the handler, which has a stream to end.
func (c *conn) SetDeadline(t time.Time) error {
	_ = c.setReadDeadline(t)
	return nil
}

// roll puts reads under the rolling limit d until fasthttp's own come back.
func (c *conn) roll(d time.Duration) {
	c.rolling, c.limitR = true, d
}

// interrupt ends a Read in progress and all later ones.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	_ = c.armLocked(past) // on a closed connection there is no Read to end
	c.lane.wake()
}

// setBusy marks the time of a request; a drain interrupts whoever is not busy.
func (c *conn) setBusy(b bool) {
	c.mu.Lock()
	c.busy = b
	c.mu.Unlock()
}

func (c *conn) interruptIfIdle() {
	c.mu.Lock()
	idle := !c.busy
	c.mu.Unlock()
	if idle {
		c.interrupt()
	}
}

// interruptIfKept is interruptIfIdle for connections that have had a request.
func (c *conn) interruptIfKept() {
	if c.stage.Load() != stageNew {
		c.interruptIfIdle()
	}
}

// forwardedFor reads an address as a load balancer says it. Requests of one browser
// come in a row, and the same need not be read twice.
func (c *conn) forwardedFor(b []byte) (netip.Addr, bool) {
	if string(b) == c.forwarded {
		return c.forwardedIP, c.forwardedIP.IsValid()
	}
	s := string(b)
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	c.forwarded, c.forwardedIP = s, a.Unmap()
	return c.forwardedIP, true
}

// Close ends the connection in order. If the browser may still be sending, it
// is read for a while: a close with unread data is a TCP reset, which can
// destroy the answer on its way.
func (c *conn) Close() error {
	if c.lane.returns() {
		return nil
	}
	if !c.finish() {
		return nil
	}
	defer c.closing(c)
	if c.linger {
		c.drain()
	}
	return c.Conn.Close()
}

// finish reports whether the caller is the first to close.
func (c *conn) finish() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.closed
	c.closed = true
	if c.watch.timer != nil {
		c.watch.timer.Stop()
	}
	return first
}

func (c *conn) drain() {
	hw, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || hw.CloseWrite() != nil {
		return
	}
	end := time.Now().Add(lingerFor)
	if c.Conn.SetReadDeadline(end) != nil {
		return
	}
	buf := getBuf(smallBuf)
	defer putBuf(buf)
	for time.Now().Before(end) {
		if _, err := c.Conn.Read(buf); err != nil {
			return
		}
	}
}

// wrapper is a connection around another.
type wrapper interface{ NetConn() net.Conn }

// kill ends the connection so that the browser sees a broken transfer: a TCP
// reset, without TLS's close_notify. It does not block; Close still must be
// called, and is by fasthttp.
func (c *conn) kill() {
	raw := c.Conn
	if t, ok := raw.(wrapper); ok { // TLS
		raw = t.NetConn()
	}
	socket := raw
	for w, ok := socket.(wrapper); ok; w, ok = socket.(wrapper) {
		socket = w.NetConn()
	}
	if t, ok := socket.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = raw.Close()
	if c.lane != nil {
		_ = c.lane.raw.Close() // so that its loop hears of it
	}
}

func (c *conn) isInterrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interrupted
}
