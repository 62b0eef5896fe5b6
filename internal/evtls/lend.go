package evtls

import (
	"bytes"
	"crypto/tls"
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
	rawInputAt, handAt uintptr
	lending            bool
)

var errOtherTLS = errors.New("evtls: crypto/tls is not as expected")

// findBuffers looks for the fields by name and type.
func findBuffers() error {
	t := reflect.TypeFor[tls.Conn]()
	for name, at := range map[string]*uintptr{"rawInput": &rawInputAt, "hand": &handAt} {
		f, ok := t.FieldByName(name)
		if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
			return errOtherTLS
		}
		*at = f.Offset
	}
	return nil
}

func rawInput(t *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(t), rawInputAt))
}

func hand(t *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(t), handAt))
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
