// Package content makes bytes that show what became of them on the way. They
// come in cells that carry their own place, so that a reader knows not only
// that something is wrong but what: bytes that are lost, that came twice, that
// are another PBX's or another file's, or that are damaged.
//
//	cell: device (4 bytes), object (4 bytes), number (8 bytes), filler
//
// Nothing is kept: what a byte has to be follows from where it is.
package content

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
)

const (
	cellSize   = 1 << 10
	headSize   = 16
	fillerSize = cellSize - headSize
	tableSize  = 64 << 10
)

// ID is whose bytes they are: a PBX's number and one of its files.
type ID struct {
	Device uint32
	Object uint32
}

// table is what fillers are cut from; a cell's number says where. It does not
// compress, so that what is measured is bytes.
var table = func() []byte {
	b := make([]byte, tableSize+fillerSize)
	r := rand.NewChaCha8([32]byte{'t', 'r', 'u', 'n', 'k', 'l', 'i', 'n', 'e'})
	_, _ = r.Read(b) // never errs
	return b
}()

func filler(id ID, n uint64) []byte {
	at := (n*7919 + uint64(id.Object)*104729 + uint64(id.Device)*1299709) % tableSize
	return table[at : at+fillerSize]
}

func cell(b []byte, id ID, n uint64) {
	binary.BigEndian.PutUint32(b, id.Device)
	binary.BigEndian.PutUint32(b[4:], id.Object)
	binary.BigEndian.PutUint64(b[8:], n)
	copy(b[headSize:cellSize], filler(id, n))
}

// Reader gives the first size bytes of id.
func Reader(id ID, size int64) io.Reader { return &reader{id: id, left: size} }

type reader struct {
	id   ID
	n    uint64
	cell [cellSize]byte
	have []byte
	left int64
}

func (r *reader) Read(b []byte) (n int, err error) {
	for n < len(b) && r.left > 0 {
		if len(r.have) == 0 {
			cell(r.cell[:], r.id, r.n)
			r.n++
			r.have = r.cell[:min(cellSize, r.left)]
		}
		k := copy(b[n:], r.have)
		r.have, r.left, n = r.have[k:], r.left-int64(k), n+k
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// MinMessage is the size of the smallest message, in bytes.
const MinMessage = headSize

// Message is number n of id, of size bytes: a WebSocket's.
func Message(id ID, n uint64, size int) []byte {
	b := make([]byte, size)
	for at := 0; at < size; at += cellSize {
		var c [cellSize]byte
		cell(c[:], id, n)
		copy(b[at:], c[:])
	}
	return b
}

// MessageNumber is the number of a message of id, false if b is none.
func MessageNumber(id ID, b []byte) (n uint64, ok bool) {
	if len(b) < MinMessage {
		return 0, false
	}
	n = binary.BigEndian.Uint64(b[8:])
	return n, bytes.Equal(b, Message(id, n, len(b)))
}
