package evtls

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"reflect"
	"sync"
	"unsafe"
)

// crypto/tls reads into a buffer that grows to the largest records and never
// shrinks: 45 KiB for a connection that was busy once, and a read of the socket
// for each record. (Go 1.28 gives it back.) So it gets a buffer of ours while
// there is something to read, which takes four records at once, and is left
// with none after that. Its fields have no other door than unsafe: checked
// makes sure that they are what they were.

// segmentSize is four of the largest records, so that a read of the socket that
// fills it leaves no part of one to be moved: 5 bytes of header, 16 KiB, the kind
// of content and the cipher's 16 bytes (RFC 8446, section 5.2).
const segmentSize = 4 * (5 + 16<<10 + 1 + 16)

type segment [segmentSize]byte

var segments = sync.Pool{New: func() any { return new(segment) }}

// Where crypto/tls keeps its buffers.
var (
	rawInputAt, handAt, inputAt uintptr
	lending                     bool
)

var errOtherTLS = errors.New("evtls: crypto/tls is not as expected")

// findBuffers looks for the fields by name and type.
func findBuffers() error {
	t := reflect.TypeFor[tls.Conn]()
	for _, of := range []struct {
		name string
		kind reflect.Type
		at   *uintptr
	}{
		{"rawInput", reflect.TypeFor[bytes.Buffer](), &rawInputAt},
		{"hand", reflect.TypeFor[bytes.Buffer](), &handAt},
		{"input", reflect.TypeFor[bytes.Reader](), &inputAt},
	} {
		f, ok := t.FieldByName(of.name)
		if !ok || f.Type != of.kind {
			return errOtherTLS
		}
		*of.at = f.Offset
	}
	return nil
}

func rawInput(t *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(t), rawInputAt))
}

func hand(t *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(t), handAt))
}

// input is what of a record nobody has read yet.
func input(t *tls.Conn) *bytes.Reader {
	return (*bytes.Reader)(unsafe.Add(unsafe.Pointer(t), inputAt))
}

// protected is how a record of TLS 1.3 begins: its kind and version. The length is
// behind that (RFC 8446, section 5.2).
var protected = []byte{23, 3, 3}

const recordHead = 5

// lacks reports whether crypto/tls would have to read the socket to go on. What
// does not look like a record of ours is left to it.
func (c *Conn) lacks() bool {
	return c.lent != nil && c.wants()
}

// wants is lacks without a look at who reads.
func (c *Conn) wants() bool {
	if c.ended || input(c.tls).Len() > 0 {
		return false
	}
	b := rawInput(c.tls).Bytes()
	if len(b) < recordHead {
		return bytes.HasPrefix(protected, b[:min(len(b), len(protected))])
	}
	n := recordHead + int(binary.BigEndian.Uint16(b[3:]))
	return bytes.HasPrefix(b, protected) && n <= segmentSize/4 && len(b) < n
}

// fetch reads for crypto/tls, behind what it has: it would allocate to do so. An
// error is for crypto/tls to hear, by its next Read.
func (c *Conn) fetch() error {
	in := rawInput(c.tls)
	b := in.Bytes()
	if len(b) == 0 || cap(b)-len(b) < segmentSize/4 {
		b = append(c.lent[:0], b...)
	}
	n, err := c.Read(b[len(b):cap(b)])
	*in = *bytes.NewBuffer(b[:len(b)+n])
	if err != nil && !WouldBlock(err) {
		c.failed = err
	}
	return err
}

// lend gives crypto/tls a segment to read into. What it has of a record already
// comes along.
func (c *Conn) lend() {
	if !lending || c.lent != nil || !c.pending.Load() {
		return
	}
	have := rawInput(c.tls)
	if have.Len() > segmentSize/4 {
		return // of before; it fits a record, and goes with it
	}
	c.lent = segments.Get().(*segment)
	*have = *bytes.NewBuffer(append(c.lent[:0], have.Bytes()...))
}

// takeBack leaves crypto/tls no buffer but that of a record whose end has not
// come. It is called when crypto/tls has handed out all that it had.
func (c *Conn) takeBack() {
	if !lending {
		return
	}
	if h := hand(c.tls); h.Len() == 0 && h.Cap() > 0 {
		*h = bytes.Buffer{}
	}
	in := rawInput(c.tls)
	if in.Len() > 0 {
		return
	}
	*in = bytes.Buffer{}
	if c.lent != nil {
		segments.Put(c.lent)
		c.lent = nil
	}
}
