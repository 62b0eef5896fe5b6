package edge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"

	"trunkline/internal/fault"
)

// request is a browser's head, parsed strictly.
type request struct {
	method    string // "GET", "HEAD" and "POST" are constants, others are copied
	target    []byte // origin form or "*", exactly as received
	authority []byte // of a target in absolute form
	host      []byte
	hosts     int
	length    int64 // of the body; -1 if chunked, 0 without one
	upgrade   []byte
	fields    []field
	named     [][]byte // the fields that Connection names
	close     bool
	http10    bool
}

var (
	errHead    = errors.New("malformed header line")
	errFraming = errors.New("ambiguous framing")
)

// parse reads the header block as it was on the wire. It is stricter than
// fasthttp, which has parsed the same bytes before: what passes here can be
// read in one way only.
func (r *request) parse(raw []byte) error {
	var lengths, transfers int
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return errHead
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			break
		}
		f, err := parseField(line)
		if err != nil {
			return err
		}
		switch f.kind {
		case kHost:
			r.hosts++
			r.host = f.value
		case kLength:
			n, ok := parseLength(f.value)
			if !ok {
				return errFraming
			}
			r.length = n
			lengths++
		case kTransfer:
			if !strings.EqualFold(string(f.value), "chunked") || r.http10 {
				return errFraming
			}
			transfers++
		case kConnection:
			r.connection(f.value)
		case kUpgrade:
			r.upgrade = f.value
		}
		r.fields = append(r.fields, f)
	}
	if lengths+transfers > 1 {
		return errFraming
	}
	if transfers == 1 {
		r.length = -1
	}
	return nil
}

// connection takes note of what a Connection field says.
func (r *request) connection(v []byte) {
	for tok := range bytes.SplitSeq(v, []byte(",")) {
		tok = trimSpace(tok)
		switch {
		case len(tok) == 0:
		case strings.EqualFold(string(tok), "close"):
			r.close = true
		default:
			r.named = append(r.named, tok)
		}
	}
}

func (r *request) names(name string) bool {
	for _, n := range r.named {
		if strings.EqualFold(string(n), name) {
			return true
		}
	}
	return false
}

// parseField splits a line; names must be tokens (RFC 9110, section 5.1), and
// a line that begins with white space (obs-fold) is refused with the rest.
func parseField(line []byte) (field, error) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return field{}, errHead
	}
	k, ok := kindOfToken(line[:i])
	value := trimSpace(line[i+1:])
	if !ok || !isText(value) {
		return field{}, errHead
	}
	return field{name: line[:i], value: value, kind: k}, nil
}

// trimSpace takes spaces and tabs off both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for n := len(b); n > 0 && (b[n-1] == ' ' || b[n-1] == '\t'); n-- {
		b = b[:n-1]
	}
	return b
}

// isText reports whether b has no control character but tabs. Eight bytes are
// looked at together: a visit's cookie alone is half a KiB in every request.
func isText(b []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		del := w ^ 0x7f*ones
		// The top bit of each byte that is below ' ', or DEL; a byte may be
		// taken for one when the byte before it is one.
		if ((w-' '*ones)&^w|(del-ones)&^del)&tops != 0 && !isTextSlow(b[:8]) {
			return false
		}
	}
	return isTextSlow(b)
}

func isTextSlow(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isToken(c byte) bool { return lowered[c] != 0 }

// parseLength accepts digits only: no sign, no list, no space.
func parseLength(v []byte) (int64, bool) {
	if len(v) == 0 || len(v) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// setTarget takes the request target. An absolute one is cut to its path.
func (r *request) setTarget(t []byte) error {
	if bytes.IndexByte(t, '#') >= 0 {
		return fault.New(fault.Invalid, "The request's target is malformed.")
	}
	r.target = t
	if t[0] == '/' || len(t) == 1 && t[0] == '*' {
		return nil
	}
	_, rest, ok := bytes.Cut(t, []byte("://"))
	if !ok {
		return fault.New(fault.Invalid, "The request's target is malformed.")
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		r.authority, r.target = rest, []byte("/")
		return nil
	}
	r.authority, r.target = rest[:end], rest[end:]
	if r.target[0] == '?' {
		r.target = append([]byte("/"), r.target...)
	}
	return nil
}

// appendRequest writes the head the portal gets.
func (x *exchange) appendRequest(b []byte) []byte {
	r := &x.req
	b = append(append(append(b, r.method...), ' '), r.target...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), x.origins.host...)
	b = append(b, "\r\n"...)
	for _, f := range r.fields {
		switch f.kind {
		case kOther, kAllowOrigin, kSetCookie, kLocation, kRefresh, kOurs, kClearData:
			if len(r.named) > 0 && r.names(string(f.name)) {
				continue
			}
			b = appendField(b, f.name, f.value)
		case kCookie:
			mark := len(b)
			b = append(append(b, f.name...), ": "...)
			n := len(b)
			if b = appendCookies(b, f.value); len(b) == n {
				b = b[:mark]
				continue
			}
			b = append(b, "\r\n"...)
		case kOrigin, kReferer:
			b = append(append(b, f.name...), ": "...)
			b = append(x.origins.appendToPortal(b, f.value), "\r\n"...)
		}
	}
	if x.span != nil {
		b = append(append(append(b, "traceparent: "...), x.span.Parent()...), "\r\n"...)
	}
	switch {
	case x.wantUpgrade:
		b = append(appendField(b, []byte("Upgrade"), r.upgrade), "Connection: Upgrade\r\n"...)
	case r.length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.length > 0 || r.method == "POST" || r.method == "PUT" || r.method == "PATCH":
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.length, 10), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func appendField(b, name, value []byte) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}
