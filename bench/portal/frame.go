package portal

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Just enough of RFC 6455 for one message in one frame of under 64 KiB: the
// portal sends back what it gets, the wire looks at what comes back.

const (
	FrameText  = 0x81 // and the last of its message
	frameClose = 0x88
	longFrame  = 126  // a length of two bytes follows
	Masked     = 0x80 // is set in the second byte of what a client sends

	MaxFrame = 1<<16 - 1 // bytes of payload
)

// ErrFrame is what is no such frame.
var ErrFrame = errors.New("websocket: not a frame that bench understands")

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// echoFrames answers every frame with its like until one closes.
func echoFrames(c io.Writer, r *bufio.Reader, key string) error {
	if err := write(c, fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptKey(key))); err != nil {
		return err
	}
	var in, out []byte
	for {
		kind, payload, err := ReadFrame(r, in)
		if err != nil {
			return err
		}
		in = payload
		if out = AppendFrame(out[:0], kind, 0, payload); len(out) == 0 {
			return ErrFrame
		}
		if err := write(c, out); err != nil || kind == frameClose {
			return errors.Join(err, io.EOF)
		}
	}
}

// ReadFrame reads one frame, its payload unmasked and in buf if it is long enough.
func ReadFrame(r *bufio.Reader, buf []byte) (kind byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(head[1] &^ Masked)
	switch {
	case n == longFrame:
		var long [2]byte
		if _, err := io.ReadFull(r, long[:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(long[:]))
	case n > longFrame:
		return 0, nil, ErrFrame
	}
	var mask [4]byte
	if head[1]&Masked != 0 {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return 0, nil, err
		}
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, nil, err
	}
	if mask != [4]byte{} {
		for i := range buf {
			buf[i] ^= mask[i%4]
		}
	}
	return head[0], buf, nil
}

// AppendFrame frames a payload. With mask set it is a client's, under a mask
// of zeros: that is as good as another, and costs bench nothing.
func AppendFrame(b []byte, kind, mask byte, payload []byte) []byte {
	switch n := len(payload); {
	case n < longFrame:
		b = append(b, kind, mask|byte(n))
	case n <= MaxFrame:
		b = append(b, kind, mask|longFrame, byte(n>>8), byte(n))
	default:
		return b
	}
	if mask != 0 {
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, payload...)
}
