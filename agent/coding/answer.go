package coding

import (
	"bytes"
	"errors"
	"strconv"
)

// answers follows what the portal sends. feed is its entrance, and gives what
// the relay is to get.
type answers struct {
	asked func() bool                             // there is a request without an answer
	next  func() request                          // takes it
	start func(accepted) (enc encoder, as string) // nil: none is accepted, or to be had
	done  func(in, out int64)                     // a body is coded
	ends  bool                                    // the end of the portal's connection is told
	write func(b []byte) error

	blind  bool  // from here on bytes pass
	broken error // an answer is half out: nothing may follow

	pending []byte // an incomplete head
	h       head
	body    bodyKind
	left    int64
	chunks  chunks
	enc     encoder // nil: the body passes
	tail    []byte  // trailers, which follow the last chunk
	z       []byte  // coded and not yet a chunk
	in, out int64   // of what is being coded

	waiting []byte // to be written before feed returns
}

type bodyKind uint8

const (
	noBody bodyKind = iota // a head is next
	lengthBody
	chunkedBody
	closeBody // until the connection ends
)

const (
	zMax       = 32 << 10 // coded before it becomes a chunk
	waitingMax = 32 << 10
)

var errBody = errors.New("the portal's body is malformed")

// feed takes what one read from the portal brought. What is not to be held back
// has been put when it returns.
func (a *answers) feed(b []byte) error {
	for len(b) > 0 {
		if a.broken != nil {
			return a.broken
		}
		var n int
		var err error
		switch {
		case a.blind:
			n, err = len(b), a.putLast(b)
		case a.body == noBody:
			n, err = a.head(b)
		case a.enc != nil:
			n, err = a.code(b)
		default:
			for n < len(b) && a.body != noBody && !a.blind {
				n += a.pass(b[n:])
			}
			if n == len(b) {
				err = a.putLast(b)
			} else {
				err = a.put(b[:n])
			}
		}
		if err != nil {
			if errors.Is(err, errBody) {
				err = errors.Join(err, a.leave()) // as far as it was one
			}
			a.broken = err
			return err
		}
		b = b[n:]
	}
	if err := a.leave(); err != nil {
		a.broken = err
	}
	return a.broken
}

// put lets b out before feed returns: gathered, since each write to a stream is
// a frame, unless it is large.
func (a *answers) put(b []byte) error {
	if len(a.waiting)+len(b) > waitingMax {
		if err := a.flush(); err != nil {
			return err
		}
		if len(b) > waitingMax/2 {
			return a.write(b)
		}
	}
	a.waiting = append(a.waiting, b...)
	return nil
}

// putLast is put for what nothing follows in this feed: most of what passes is
// not copied.
func (a *answers) putLast(b []byte) error {
	if len(a.waiting) == 0 {
		return a.write(b)
	}
	return a.put(b)
}

// leave lets everything out.
func (a *answers) leave() error {
	if a.enc != nil {
		a.z = a.enc.flush(a.z)
		if err := a.chunk(); err != nil {
			return err
		}
	}
	return a.flush()
}

func (a *answers) flush() error {
	b := a.waiting
	if a.waiting = b[:0]; a.body == noBody || a.blind {
		a.waiting = nil // who is idle holds nothing
	}
	if len(b) == 0 {
		return nil
	}
	return a.write(b)
}

func (a *answers) lose() {
	a.blind, a.pending = true, nil
}

// head takes a head, or its next piece.
func (a *answers) head(b []byte) (n int, err error) {
	in, had := b, len(a.pending)
	if had > 0 {
		a.pending = append(a.pending, b...)
		in = a.pending
	} else if !a.asked() {
		a.lose() // whoever waits must see at once that there is more than was asked for
		return 0, nil
	}
	const proto = "HTTP/1."
	if k := min(len(in), len(proto)); string(in[:k]) != proto[:k] {
		return a.dark(in, len(b))
	}
	end := headEnd(in, had)
	if end > maxHead || end == 0 && len(in) > maxHead {
		return a.dark(in, len(b))
	}
	if end == 0 {
		if had == 0 {
			a.pending = bytes.Clone(in)
		}
		return len(b), nil
	}
	var f facts
	defer a.h.forget()
	if !a.h.parse(in[:end]) || !f.learn(&a.h) || f.status == 101 {
		return a.dark(in, len(b))
	}
	a.pending = nil
	if f.status < 200 {
		return end - had, a.put(in[:end])
	}
	q := a.next()
	none, ok := f.bodiless(q)
	if q.opaque || !ok {
		return a.dark(in, len(b))
	}
	return end - had, a.begin(q, &f, none, in[:end], in[end:])
}

// dark gives a head up, with all that came of it and behind it.
func (a *answers) dark(in []byte, n int) (int, error) {
	a.lose()
	return n, a.put(in)
}

// begin sends a head as it is to be, and makes ready for its body. rest is what
// has come of that.
func (a *answers) begin(q request, f *facts, none bool, raw, rest []byte) error {
	a.frame(f, none)
	codable := !none && f.codable() && (a.ends || a.body != closeBody) && !(f.frame.chunked && small(rest))
	switch {
	case q.marked && f.status == 304 && strong(f.etag):
		raw = appendFresh(nil, &a.h)
	case codable && q.may:
		if enc, as := a.start(q.accept); enc != nil {
			a.enc, a.tail, a.in, a.out = enc, nil, 0, 0
			return a.put(appendCoded(nil, &a.h, f, as))
		}
		fallthrough
	case codable:
		raw = appendKept(nil, &a.h, f)
	}
	a.blind = a.body == closeBody
	return a.put(raw)
}

// frame says what follows a head (RFC 9112, section 6.3).
func (a *answers) frame(f *facts, none bool) {
	a.left, a.chunks = f.frame.length, chunks{}
	switch {
	case none || f.frame.length == 0:
		a.body = noBody
	case f.frame.chunked:
		a.body = chunkedBody
	case f.frame.length > 0:
		a.body = lengthBody
	default:
		a.body = closeBody
	}
}

// small reports whether a chunked body is here to its end, and not worth it.
func small(b []byte) bool {
	var c chunks
	size := 0
	for len(b) > 0 && size < minSize && c.state != chunkEnd && c.state != chunkBad {
		n, data, _ := c.next(b)
		size += len(data)
		b = b[n:]
	}
	return c.state == chunkEnd && size < minSize || c.state == chunkBad
}

// pass says how much of b is of the body, which passes as it is.
func (a *answers) pass(b []byte) int {
	if a.body == lengthBody {
		n := int(min(a.left, int64(len(b))))
		if a.left -= int64(n); a.left == 0 {
			a.body = noBody
		}
		return n
	}
	n, _, _ := a.chunks.next(b)
	switch a.chunks.state {
	case chunkEnd:
		a.body = noBody
	case chunkBad:
		a.lose()
	}
	return n
}

// code codes what b has of the body.
func (a *answers) code(b []byte) (n int, err error) {
	switch a.body {
	case lengthBody:
		n = int(min(a.left, int64(len(b))))
		a.left -= int64(n)
		a.encode(b[:n])
		if a.left == 0 {
			return n, a.finish()
		}
	case chunkedBody:
		var data, tail []byte
		n, data, tail = a.chunks.next(b)
		a.encode(data)
		a.tail = append(a.tail, tail...)
		switch a.chunks.state {
		case chunkBad:
			return n, errBody
		case chunkEnd:
			return n, a.finish()
		}
	default:
		n = len(b)
		a.encode(b)
	}
	if len(a.z) >= zMax {
		return n, a.chunk()
	}
	return n, nil
}

func (a *answers) encode(p []byte) {
	a.in += int64(len(p))
	a.z = a.enc.write(a.z, p)
}

// chunk sends what is coded.
func (a *answers) chunk() error {
	if len(a.z) == 0 {
		return nil
	}
	if len(a.waiting)+len(a.z) > waitingMax {
		if err := a.flush(); err != nil {
			return err
		}
	}
	b := append(strconv.AppendInt(a.waiting, int64(len(a.z)), 16), "\r\n"...)
	a.waiting = append(append(b, a.z...), "\r\n"...)
	a.out += int64(len(a.z))
	a.z = a.z[:0]
	return nil
}

// finish ends a coded body.
func (a *answers) finish() error {
	a.z = a.enc.finish(a.z)
	if err := a.chunk(); err != nil {
		return err
	}
	tail := a.tail
	if tail == nil {
		tail = []byte("\r\n")
	}
	a.body = noBody
	a.done(a.in, a.out)
	a.free()
	return a.put(append([]byte("0\r\n"), tail...))
}

// free gives the encoder back, if there is one.
func (a *answers) free() {
	if a.enc != nil {
		a.enc.free()
	}
	a.enc, a.z, a.tail = nil, nil, nil
}

// end is the end of the portal's connection, in order.
func (a *answers) end() error {
	switch {
	case a.broken != nil:
		return a.broken
	case a.enc != nil && a.body == closeBody:
		if err := a.finish(); err != nil {
			return err
		}
	case a.body == noBody:
		if err := a.put(a.pending); err != nil { // half a head: the relay is to see as much
			return err
		}
	}
	a.lose()
	return a.leave()
}
