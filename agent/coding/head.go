package coding

import "bytes"

const (
	maxHead   = 64 << 10 // of a request or an answer: more than the relay takes
	maxFields = 256
)

// head is a parsed head; its slices point into what it was parsed from.
type head struct {
	start  []byte // the first line, without its end
	fields []field
}

type field struct{ name, value []byte }

// headEnd is the length of the head that b begins with, 0 if it is not
// complete. The first from bytes are known to hold no end.
func headEnd(b []byte, from int) int {
	for i := max(from-3, 0); ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
		switch rest := b[i:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return i + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 2
		}
	}
}

// parse reads a whole head. Lines end in CRLF or, as embedded servers have it,
// in LF. It is false for what may be read in more than one way, and for folded
// lines, which are legal and not worth it.
func (h *head) parse(b []byte) bool {
	h.fields = h.fields[:0]
	h.start, b = cutLine(b)
	if !printable(h.start) {
		return false
	}
	for {
		var line []byte
		line, b = cutLine(b)
		if len(line) == 0 {
			return len(b) == 0
		}
		i := bytes.IndexByte(line, ':')
		if i <= 0 || len(h.fields) == maxFields {
			return false
		}
		f := field{line[:i], bytes.Trim(line[i+1:], " \t")}
		if !token(f.name) || !printable(f.value) {
			return false
		}
		h.fields = append(h.fields, f)
	}
}

// forget lets go of what it was parsed from.
func (h *head) forget() {
	clear(h.fields)
	h.start, h.fields = nil, h.fields[:0]
}

// append writes the head without the empty line at its end.
func (h *head) append(b []byte) []byte {
	b = append(append(b, h.start...), "\r\n"...)
	for _, f := range h.fields {
		b = appendField(b, string(f.name), f.value)
	}
	return b
}

func appendField(b []byte, name string, value []byte) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

// tokens are the bytes of names (RFC 9110, section 5.6.2).
var tokens = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

func token(b []byte) bool {
	for _, c := range b {
		if !tokens[c] {
			return false
		}
	}
	return len(b) > 0
}

// printable is any byte that a field may have (RFC 9110, section 5.5).
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// is compares without case; lower is in lower case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// has reports whether an element of the list v is lower (RFC 9110, section 5.6.1).
func has(v []byte, lower string) bool {
	for e := range bytes.SplitSeq(v, []byte(",")) {
		if is(bytes.Trim(e, " \t"), lower) {
			return true
		}
	}
	return false
}

// framing is what a head says of its body.
type framing struct {
	length  int64 // -1: unsaid
	chunked bool
	odd     bool // what nobody should send
}

func (f *framing) take(name, value []byte) {
	switch {
	case is(name, "content-length"):
		n, ok := digits(value)
		f.odd = f.odd || !ok || f.length >= 0
		f.length = n
	case is(name, "transfer-encoding"):
		f.odd = f.odd || f.chunked || !is(value, "chunked")
		f.chunked = true
	}
	f.odd = f.odd || f.chunked && f.length >= 0
}

// digits accepts nothing else: no sign, no list, no space.
func digits(v []byte) (n int64, ok bool) {
	if len(v) == 0 || len(v) > 18 {
		return 0, false
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
