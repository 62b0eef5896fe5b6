package tunnel

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"trunkline/internal/fault"
)

const (
	messageMax = 1024 // bytes of a fault's message on the wire
	codeMax    = 64
	retryMax   = 24 * time.Hour
)

var errTooLong = errors.New("longer than allowed")

// readBlock reads a uint32 length and as many bytes. Not one byte more: what
// follows belongs to somebody else. Memory grows with what arrives, not with
// what the length promises.
func readBlock(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > uint32(limit) {
		return nil, fmt.Errorf("%d bytes, limit %d: %w", n, limit, errTooLong)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// block is b behind its uint32 length.
func block(v any, limit int) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%d bytes, limit %d: %w", len(b), limit, errTooLong)
	}
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...), nil
}

// wireFault is a fault in JSON.
type wireFault struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message,omitempty"`
	RetryMS int64      `json:"retry_ms,omitempty"`
}

// toWire keeps a refusal readable whatever is in it: it is the one thing that
// must get through.
func toWire(f *fault.Error) *wireFault {
	w := &wireFault{Code: f.Code, Message: cut(f.Message, messageMax), RetryMS: min(max(f.Retry, 0), retryMax).Milliseconds()}
	if !validCode(w.Code) {
		w.Code = fault.Internal
	}
	return w
}

func (w *wireFault) fault() (*fault.Error, error) {
	if !validCode(w.Code) {
		return nil, errors.New("bad fault code")
	}
	if w.RetryMS < 0 || w.RetryMS > retryMax.Milliseconds() {
		return nil, errors.New("retry_ms out of range")
	}
	return &fault.Error{Code: w.Code, Message: cut(w.Message, messageMax), Retry: time.Duration(w.RetryMS) * time.Millisecond}, nil
}

func validCode(c fault.Code) bool {
	return c != "" && len(c) <= codeMax && strings.Trim(string(c), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// cut shortens s to at most n bytes of valid UTF-8 without control characters.
func cut(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// plain reports whether s is short, valid text that is safe in a log line and
// in an HTTP header.
func plain(s string, n int) bool {
	return len(s) <= n && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// asFault is err as a fault for the peer: what is none is not told.
func asFault(err error) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return fault.New(fault.Internal, "Something went wrong at the other end.")
}
