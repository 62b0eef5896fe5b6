package edge

import "sync"

// Buffers come in two sizes: small for heads and what trickles, large for what
// flows. A link swaps one for the other as its traffic changes.
const (
	smallBuf = 8 << 10
	largeBuf = 64 << 10

	headRoom = 16 // before data: for a chunk's size
	tailRoom = 8  // after it: for a chunk's end
)

var (
	smallBufs = sync.Pool{New: func() any { return new([smallBuf]byte) }}
	largeBufs = sync.Pool{New: func() any { return new([largeBuf]byte) }}
)

func getBuf(size int) []byte {
	if size <= smallBuf {
		return smallBufs.Get().(*[smallBuf]byte)[:]
	}
	return largeBufs.Get().(*[largeBuf]byte)[:]
}

func putBuf(b []byte) {
	switch cap(b) {
	case smallBuf:
		smallBufs.Put((*[smallBuf]byte)(b[:smallBuf]))
	case largeBuf:
		largeBufs.Put((*[largeBuf]byte)(b[:largeBuf]))
	default:
		panic("BUG: a buffer that is not ours")
	}
}
