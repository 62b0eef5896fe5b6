package tunnel

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Frames of yamux (its spec.md): a 12-byte header of version, type, flags,
// stream id and length, and for data a body of that length.
const (
	frameHeader = 12

	frameData   = 0
	frameWindow = 1
	framePing   = 2
	frameGoAway = 3

	flagSYN = 1
	flagFIN = 4
	flagRST = 8

	// maxBody makes a data frame fill two TLS records and spill into no third.
	maxBody = 2*16384 - frameHeader
)

type frame struct {
	version, typ byte
	flags        uint16
	id, length   uint32
}

func parseFrame(b []byte) frame {
	return frame{b[0], b[1], binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}
}

// body is how many bytes follow the header.
func (f frame) body() uint32 {
	if f.typ == frameData {
		return f.length
	}
	return 0
}

// scanner finds the frame headers in a stream of bytes cut anywhere.
type scanner struct {
	head [frameHeader]byte
	have int
	body uint32 // still to come of the last frame
}

func (s *scanner) scan(b []byte, each func(frame) error) error {
	for len(b) > 0 {
		if s.body > 0 {
			n := min(s.body, uint32(len(b)))
			s.body -= n
			b = b[n:]
			continue
		}
		n := copy(s.head[s.have:], b)
		s.have += n
		b = b[n:]
		if s.have < frameHeader {
			return nil
		}
		s.have = 0
		f := parseFrame(s.head[:])
		s.body = f.body()
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

// wire is the TLS connection as the multiplexer sees it. Frames are looked at
// in passing, because yamux does not say that the far side has closed a stream
// before somebody reads up to there, answers any number of pings with a
// goroutine each, and can refuse no stream.
//
// yamux has one goroutine that reads and one that writes.
type wire struct {
	tls   *tls.Conn
	raw   net.Conn
	lean  leanReader // raw, if it can; else nil
	cork  corker     // likewise
	start time.Time
	heard atomic.Int64 // when bytes last came, since start

	in      scanner
	inbound func(frame) error // an error ends the tunnel; it has been told
	deaf    bool              // after such an error: read on, so that the goodbye is not cut off by a reset, but believe nothing

	mu       sync.Mutex // of what follows, and of writing
	hungUp   bool       // what yamux still writes is dropped
	held     [frameHeader]byte
	holding  bool // held is a data frame's header: its body is the next Write
	outbound func(frame)
}

// A raw connection may save what crypto/tls wastes.
type (
	// leanReader is one that lets TLS have no buffer while its reader waits.
	leanReader interface {
		ReadLean(t *tls.Conn, b []byte) (int, error)
	}
	// corker is one that takes the records of a frame in one system call.
	corker interface {
		Cork()
		Uncork() error
	}
)

func newWire(c *tls.Conn) *wire {
	w := &wire{tls: c, raw: c.NetConn(), start: time.Now()}
	w.lean, _ = w.raw.(leanReader)
	w.cork, _ = w.raw.(corker)
	return w
}

func (w *wire) readTLS(b []byte) (int, error) {
	if w.lean != nil {
		return w.lean.ReadLean(w.tls, b)
	}
	return w.tls.Read(b)
}

// writeTLS writes what may be several records.
func (w *wire) writeTLS(b []byte) (int, error) {
	if w.cork == nil {
		return w.tls.Write(b)
	}
	w.cork.Cork()
	n, err := w.tls.Write(b)
	return n, errors.Join(err, w.cork.Uncork())
}

// silence is how long nothing has been heard.
func (w *wire) silence() time.Duration {
	return time.Since(w.start) - time.Duration(w.heard.Load())
}

func (w *wire) Read(b []byte) (int, error) {
	for {
		n, err := w.readTLS(b)
		if n > 0 && !w.deaf {
			w.heard.Store(int64(time.Since(w.start)))
			w.deaf = w.in.scan(b[:n], w.inbound) != nil
		}
		if !w.deaf {
			return n, err
		}
		if err != nil {
			return 0, err
		}
	}
}

// buffers join a frame's header and body, which yamux writes one by one: one
// TLS record and system call less per frame.
var buffers = sync.Pool{New: func() any { return new([frameHeader + maxBody]byte) }}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hungUp {
		return len(b), nil
	}
	if w.holding {
		w.holding = false
		return w.writeBoth(b)
	}
	f := parseFrame(b)
	w.outbound(f)
	if f.body() > 0 {
		w.holding = true
		return copy(w.held[:], b), nil
	}
	return w.tls.Write(b)
}

func (w *wire) writeBoth(body []byte) (int, error) {
	if len(body) > maxBody {
		if _, err := w.tls.Write(w.held[:]); err != nil {
			return 0, err
		}
		return w.writeTLS(body)
	}
	buf := buffers.Get().(*[frameHeader + maxBody]byte)
	defer buffers.Put(buf)
	n := copy(buf[:], w.held[:])
	n += copy(buf[n:], body)
	if _, err := w.writeTLS(buf[:n]); err != nil {
		return 0, err
	}
	return len(body), nil
}

// hangUp ends what we send, with everything before it delivered; the peer
// hears the end and closes. The write deadline must be set.
func (w *wire) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hungUp = true
	closeWrite(w.tls)
}

// Close closes the socket at once. A TLS close could wait for a stuck socket,
// and yamux's readers spin for as long.
func (w *wire) Close() error { return w.raw.Close() }

func (w *wire) LocalAddr() net.Addr  { return w.raw.LocalAddr() }
func (w *wire) RemoteAddr() net.Addr { return w.raw.RemoteAddr() }

// closeWrite says the end of our side on TLS and, where there is such a
// thing, on the socket. Errors mean that nobody is there to hear it.
func closeWrite(c *tls.Conn) {
	_ = c.CloseWrite()
	if half, ok := c.NetConn().(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
