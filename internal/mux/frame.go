package mux

import "encoding/binary"

// Frames (yamux spec.md, "Framing"): version, type, flags, stream id and
// length, big-endian, and behind a data frame as many bytes.
const (
	headerLen = 12

	typeData   = 0
	typeWindow = 1
	typePing   = 2
	typeGoAway = 3

	flagSYN = 1
	flagACK = 2
	flagFIN = 4
	flagRST = 8

	// initialWindow is what both sides start every stream with.
	initialWindow = 256 << 10

	// MaxBody is the longest body we send: with its header it fills one record of
	// TLS (RFC 8446, section 5.1), and others have little to stand behind. Who has
	// much to send writes whole ones.
	MaxBody = 16<<10 - headerLen
	// FlushSize is what one call of Config.Write has at most: four such frames,
	// and control. As TLS records it is less than a cork's room beside what TLS
	// itself may have to say (cork.Detach).
	FlushSize = 4*(headerLen+MaxBody) + 2<<10
)

type header struct {
	version, typ byte
	flags        uint16
	id, length   uint32
}

func parseHeader(b []byte) header {
	_ = b[headerLen-1]
	return header{b[0], b[1], binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}
}

func (h header) put(b []byte) int {
	_ = b[headerLen-1]
	b[0], b[1] = h.version, h.typ
	binary.BigEndian.PutUint16(b[2:], h.flags)
	binary.BigEndian.PutUint32(b[4:], h.id)
	binary.BigEndian.PutUint32(b[8:], h.length)
	return headerLen
}
