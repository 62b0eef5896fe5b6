package coding

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxCoding bodies at a time, of 32 KiB each and as much again under way;
	// further ones pass as they are. The first maxZstd of them may be zstd, of
	// 2 MB each. A body that comes in one read has its encoder for as long as
	// that takes; a longer one until the uplink has taken it.
	maxCoding = 64
	maxZstd   = 4
	// maxAsked requests without an answer: the relay waits for each.
	maxAsked = 8
)

// Coder codes the answers of one portal.
type Coder struct {
	gzip, zstd chan struct{} // slots
	met        *metrics
}

func New(reg prometheus.Registerer) *Coder {
	return &Coder{gzip: make(chan struct{}, maxCoding-maxZstd), zstd: make(chan struct{}, maxZstd), met: newMetrics(reg)}
}

// Conn is a relay's stream, read along. One goroutine may read and one write.
type Conn struct {
	net.Conn
	coder *Coder

	reading requests // the reader's
	ready   []byte   // read, and not given yet
	readErr error    // to be given after it, once: it may be a deadline's

	mu    sync.Mutex // guards asked; never held over a write
	asked []request  // without an answer, the oldest first

	writing sync.Mutex // held over writes; guards what follows
	out     answers
	closed  bool
}

// Wrap reads along on stream, which it owns. ends says that Finish will be
// called where the portal ends its connection: only then can an answer be coded
// whose end that is.
func (c *Coder) Wrap(stream net.Conn, ends bool) *Conn {
	w := &Conn{Conn: stream, coder: c}
	w.out = answers{
		asked: w.isAsked, next: w.answered, start: c.start, ends: ends,
		write: func(b []byte) error { _, err := stream.Write(b); return err },
		done:  c.met.done,
	}
	return w
}

// Read gives what the portal is to get.
func (c *Conn) Read(b []byte) (int, error) {
	for len(c.ready) == 0 && c.readErr == nil {
		n, err := c.Conn.Read(b)
		out := c.reading.feed(b[:n], c.ask)
		c.readErr = err
		if errors.Is(err, io.EOF) && len(c.reading.pending) > 0 {
			out, c.reading.pending = append(out[:len(out):len(out)], c.reading.pending...), nil
		}
		if n > 0 && len(out) == n && &out[0] == &b[0] { // as it came
			return n, nil
		}
		c.ready = out
	}
	if len(c.ready) == 0 {
		err := c.readErr
		c.readErr = nil
		return 0, err
	}
	n := copy(b, c.ready)
	if c.ready = c.ready[n:]; len(c.ready) == 0 {
		c.ready = nil
	}
	return n, nil
}

// ask keeps a request. Of too many none is understood any more.
func (c *Conn) ask(q request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asked) < maxAsked {
		q.opaque = q.opaque || len(c.asked) == maxAsked-1
		c.asked = append(c.asked, q)
	}
}

func (c *Conn) isAsked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked) > 0
}

func (c *Conn) answered() request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asked) == 0 {
		return request{opaque: true}
	}
	q := c.asked[0]
	if c.asked = c.asked[1:]; len(c.asked) == 0 {
		c.asked = nil
	}
	return q
}

// Write takes what the portal sent.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if err := c.out.feed(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Finish tells that the portal has ended its connection in order.
func (c *Conn) Finish() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return c.out.end()
}

// Close ends a write that waits, and gives back what coding took.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.writing.Lock()
	defer c.writing.Unlock()
	c.closed = true
	c.out.free()
	return err
}

// start takes a slot and an encoder for a coding that is accepted.
func (c *Coder) start(a accepted) (enc encoder, as string) {
	switch {
	case a.zstd && take(c.zstd):
		enc, as = &slotted{newZstd(), c.zstd}, "zstd"
	case a.gzip && take(c.gzip):
		enc, as = &slotted{newGzip(), c.gzip}, "gzip"
	case a.zstd || a.gzip:
		c.met.coded.WithLabelValues("none").Inc()
		return nil, ""
	default:
		return nil, ""
	}
	c.met.coded.WithLabelValues(as).Inc()
	return enc, as
}

func take(slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// slotted gives its slot back with the encoder.
type slotted struct {
	encoder
	slot chan struct{}
}

func (s *slotted) free() {
	s.encoder.free()
	<-s.slot
}
