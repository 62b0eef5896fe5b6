package edge

import (
	"bytes"

	"trunkline/internal/fault"
)

// chunkReader takes the chunked coding (RFC 9112, section 7.1) off a portal's
// body, in place and as it comes. Extensions are ignored and trailers are
// dropped: they cannot be known to be safe to merge or to announce.
type chunkReader struct {
	state chunkState
	left  int64 // of the current chunk
	line  int   // length of the current line, bounded
	lines int   // line ends of the trailer section, bounded
	used  int   // input consumed by the last decode
	digit bool  // the size has one
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExt
	chunkData
	chunkCRLF
	chunkTrailer
	chunkEnd
)

const (
	maxChunkLine    = 4 << 10
	maxTrailerLines = 64
)

var errChunk = fault.New(fault.PortalGarbage, "The PBX's portal sent a malformed body.")

// decode moves the payload in b to its front, and returns how much that is and
// whether the body has ended. It uses all of b until the end.
func (c *chunkReader) decode(b []byte) (n int, end bool, err error) {
	i := 0
	for i < len(b) && c.state != chunkEnd {
		switch c.state {
		case chunkData:
			m := int(min(int64(len(b)-i), c.left))
			if n != i {
				copy(b[n:], b[i:i+m])
			}
			n, i, c.left = n+m, i+m, c.left-int64(m)
			if c.left == 0 {
				c.state, c.line = chunkCRLF, 0
			}
		case chunkExt:
			m := bytes.IndexByte(b[i:], '\n')
			if m < 0 {
				m = len(b) - i - 1
			}
			if c.line += m + 1; c.line > maxChunkLine {
				return n, false, errChunk
			}
			i += m + 1
			if b[i-1] == '\n' {
				c.endOfSize()
			}
		default:
			if err := c.step(b[i]); err != nil {
				return n, false, err
			}
			i++
		}
	}
	c.used = i
	return n, c.state == chunkEnd, nil
}

// step takes one byte of what is no payload.
func (c *chunkReader) step(b byte) error {
	if c.line++; c.line > maxChunkLine {
		return errChunk
	}
	switch c.state {
	case chunkSize:
		v := hexValue(b)
		switch {
		case v >= 0 && c.left < 1<<58:
			c.left, c.digit = c.left<<4|int64(v), true
		case !c.digit:
			return errChunk
		case b == '\n':
			c.endOfSize()
		case b == ';' || b == ' ' || b == '\t' || b == '\r':
			c.state = chunkExt
		default:
			return errChunk
		}
	case chunkCRLF:
		switch {
		case b == '\r' && c.line == 1:
		case b == '\n':
			c.state, c.line, c.digit = chunkSize, 0, false
		default:
			return errChunk
		}
	case chunkTrailer:
		switch {
		case b == '\n' && c.line <= 1:
			c.state = chunkEnd
		case b == '\n':
			if c.lines++; c.lines > 2*maxTrailerLines {
				return errChunk
			}
			c.line = 0
		case b == '\r':
			c.line-- // not part of the line
			if c.lines++; c.lines > 2*maxTrailerLines {
				return errChunk
			}
		}
	}
	return nil
}

func (c *chunkReader) endOfSize() {
	c.line = 0
	c.state = chunkData
	if c.left == 0 {
		c.state = chunkTrailer
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
