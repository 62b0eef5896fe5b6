package coding

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"sync"

	"github.com/klauspost/compress/flate"
)

// encoder makes one body. Each call appends what it gives to dst.
type encoder interface {
	write(dst, p []byte) []byte
	flush(dst []byte) []byte // what was written can be decoded
	finish(dst []byte) []byte
	free() // after the last call, once
}

const (
	gzipDict  = 8 << 10 // of what came before, as much as the encoder looks at
	gzipBlock = 24<<10 - 1
)

// gzipEncoder is RFC 1952 over an encoder that has no memory of its own: what
// many answers at a time hold on a small PBX is this, and not what the format
// would like, 0.8 MB each.
type gzipEncoder struct {
	buf  [gzipDict + gzipBlock]byte
	from int // buf[:from] has been written, and what comes may refer to it
	to   int
	sum  uint32
	size uint32
	head bool // is out
}

var gzipEncoders = sync.Pool{New: func() any { return new(gzipEncoder) }}

func newGzip() *gzipEncoder {
	e := gzipEncoders.Get().(*gzipEncoder)
	e.from, e.to, e.sum, e.size, e.head = 0, 0, 0, 0, false
	return e
}

func (e *gzipEncoder) free() { gzipEncoders.Put(e) }

// jitter is how much a body's length varies for no reason: who watches the
// lengths of answers learns less from each.
const jitter = 32

// header has a file name of random length, which decoders skip.
func (e *gzipEncoder) header(dst []byte) []byte {
	e.head = true
	dst = append(dst, 0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255)
	for range rand.IntN(jitter) {
		dst = append(dst, 'x')
	}
	return append(dst, 0)
}

func (e *gzipEncoder) write(dst, p []byte) []byte {
	if !e.head {
		dst = e.header(dst)
	}
	e.sum = crc32.Update(e.sum, crc32.IEEETable, p)
	e.size += uint32(len(p))
	for len(p) > 0 {
		if e.to == len(e.buf) {
			dst = e.block(dst, false)
		}
		n := copy(e.buf[e.to:], p)
		e.to, p = e.to+n, p[n:]
	}
	return dst
}

// block gives what is in the buffer, and keeps its end to refer to.
func (e *gzipEncoder) block(dst []byte, last bool) []byte {
	w := appender{dst}
	// It writes to memory: there is nothing to err.
	_ = flate.StatelessDeflate(&w, e.buf[e.from:e.to], last, e.buf[:e.from])
	keep := min(e.to, gzipDict)
	e.from = copy(e.buf[:], e.buf[e.to-keep:e.to])
	e.to = e.from
	return w.b
}

func (e *gzipEncoder) flush(dst []byte) []byte {
	if e.to == e.from {
		return dst
	}
	return e.block(dst, false)
}

func (e *gzipEncoder) finish(dst []byte) []byte {
	if !e.head {
		dst = e.header(dst)
	}
	dst = e.block(dst, true)
	dst = binary.LittleEndian.AppendUint32(dst, e.sum)
	return binary.LittleEndian.AppendUint32(dst, e.size)
}

type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
