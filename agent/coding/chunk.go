package coding

import "bytes"

// chunks follows the chunked coding (RFC 9112, section 7.1) as the relay does:
// extensions are ignored, and a line may end in a bare LF.
type chunks struct {
	state chunkState
	left  int64 // of the current chunk
	line  int   // length of the current line, bounded
	digit bool  // the size has one
	tail  int   // length of the trailer section, bounded
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExt
	chunkData
	chunkCRLF
	chunkTrailer
	chunkEnd
	chunkBad
)

const (
	maxChunkLine = 4 << 10
	maxTail      = 8 << 10
)

// next takes the front of b: used bytes, of which data is payload and tail is
// of the trailer section, the empty line at its end included.
func (c *chunks) next(b []byte) (used int, data, tail []byte) {
	for used < len(b) {
		switch c.state {
		case chunkData:
			n := int(min(int64(len(b)-used), c.left))
			data = b[used : used+n]
			if c.left -= int64(n); c.left == 0 {
				c.state, c.line = chunkCRLF, 0
			}
			return used + n, data, nil
		case chunkTrailer:
			from := used
			for used < len(b) && c.state == chunkTrailer {
				c.trailer(b[used])
				used++
			}
			return used, nil, b[from:used]
		case chunkEnd, chunkBad:
			return used, nil, nil
		case chunkExt:
			n := bytes.IndexByte(b[used:], '\n') + 1
			if n == 0 {
				n = len(b) - used
			}
			used += n
			if c.line += n; c.line > maxChunkLine {
				c.state = chunkBad
			} else if b[used-1] == '\n' {
				c.begin()
			}
		default:
			c.step(b[used])
			used++
		}
	}
	return used, nil, nil
}

// step takes a byte of a size or of the line end behind a chunk.
func (c *chunks) step(b byte) {
	if c.line++; c.line > maxChunkLine {
		c.state = chunkBad
		return
	}
	if c.state == chunkCRLF {
		switch {
		case b == '\r' && c.line == 1:
		case b == '\n':
			c.state, c.line, c.digit = chunkSize, 0, false
		default:
			c.state = chunkBad
		}
		return
	}
	switch v := hexValue(b); {
	case v >= 0 && c.left < 1<<58:
		c.left, c.digit = c.left<<4|int64(v), true
	case !c.digit:
		c.state = chunkBad
	case b == '\n':
		c.begin()
	case b == ';' || b == ' ' || b == '\t' || b == '\r':
		c.state = chunkExt
	default:
		c.state = chunkBad
	}
}

// begin is the end of a size's line.
func (c *chunks) begin() {
	c.state, c.line = chunkData, 0
	if c.left == 0 {
		c.state = chunkTrailer
	}
}

func (c *chunks) trailer(b byte) {
	if c.tail++; c.tail > maxTail {
		c.state = chunkBad
		return
	}
	switch {
	case b == '\n' && c.line == 0:
		c.state = chunkEnd
	case b == '\n':
		c.line = 0
	case b != '\r':
		c.line++
	}
}

func hexValue(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}
