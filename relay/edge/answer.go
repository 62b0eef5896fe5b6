package edge

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// answer is a portal's head.
type answer struct {
	status  int
	reason  []byte
	length  int64 // of the body; -1: unsaid
	chunked bool
	keep    bool // the stream can carry another request
	upgrade []byte
	fields  []field
	named   [][]byte
}

var errAnswer = errors.New("not an HTTP answer")

// headEnd is the length of the head that b begins with, -1 if it is not
// complete. Embedded servers end lines with a bare LF now and then.
func headEnd(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		if rest := b[i:]; len(rest) > 0 && rest[0] == '\n' {
			return i + 1
		} else if len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n' {
			return i + 2
		}
	}
}

// plausible tells early whether b can become an HTTP/1 answer.
func plausible(b []byte) bool {
	const v = "HTTP/1."
	n := min(len(b), len(v))
	return string(b[:n]) == v[:n]
}

// parse reads a whole head. It unfolds continued lines in place (RFC 9112,
// section 5.2).
func (a *answer) parse(b []byte) error {
	*a = answer{length: -1, fields: a.fields[:0], named: a.named[:0]}
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if err := a.statusLine(line); err != nil {
		return err
	}
	unfold(rest)
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			break
		}
		f, err := parseField(line)
		if err != nil {
			return errAnswer
		}
		if err := a.take(f); err != nil {
			return err
		}
	}
	return nil
}

// events reports whether the body is a stream of server-sent events, which
// goes on whether or not somebody looks at it.
func (a *answer) events() bool {
	for _, f := range a.fields {
		if len(f.name) == len("Content-Type") && strings.EqualFold(string(f.name), "Content-Type") {
			return hasPrefixFold(f.value, "text/event-stream")
		}
	}
	return false
}

func (a *answer) statusLine(line []byte) error {
	if len(line) < 12 || !plausible(line) || line[7] != '0' && line[7] != '1' || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return errAnswer
	}
	n, ok := parseLength(line[9:12])
	if !ok || n < 100 || n > 599 {
		return errAnswer
	}
	a.status, a.keep = int(n), line[7] == '1'
	if len(line) > 13 {
		a.reason = line[13:]
	}
	for _, c := range a.reason {
		if c < ' ' && c != '\t' || c == 0x7f {
			return errAnswer
		}
	}
	return nil
}

func unfold(b []byte) {
	for i := 0; i+1 < len(b); i++ {
		if b[i] == '\n' && (b[i+1] == ' ' || b[i+1] == '\t') && i > 0 {
			b[i] = ' '
			if b[i-1] == '\r' {
				b[i-1] = ' '
			}
		}
	}
}

// take notes what a field means for the framing.
func (a *answer) take(f field) error {
	switch f.kind {
	case kLength:
		n, ok := parseLength(f.value)
		if !ok || a.length >= 0 && a.length != n {
			return errAnswer
		}
		a.length = n
	case kTransfer:
		if a.chunked || !strings.EqualFold(string(f.value), "chunked") {
			return errAnswer
		}
		a.chunked = true
	case kConnection:
		for tok := range bytes.SplitSeq(f.value, []byte(",")) {
			tok = trimSpace(tok)
			switch {
			case strings.EqualFold(string(tok), "close"):
				a.keep = false
			case strings.EqualFold(string(tok), "keep-alive"):
				// An HTTP/1.0 portal's; whoever lacks a length closes anyway.
				a.keep = true
			case len(tok) > 0:
				a.named = append(a.named, tok)
			}
		}
	case kUpgrade:
		a.upgrade = f.value
	}
	a.fields = append(a.fields, f)
	return nil
}

// body says what follows the head (RFC 9112, section 6.3).
func (a *answer) body(method string) (length int64, chunked bool) {
	switch {
	case a.status == 204 || a.status == 205:
		a.keep = a.keep && a.length <= 0 && !a.chunked // whatever it announces has no place
		return 0, false
	case method == "HEAD" || a.status == 304:
		return 0, false
	case a.chunked:
		return -1, true
	}
	return a.length, false
}

// appendAnswer writes the head the browser gets, without its framing.
func (x *exchange) appendAnswer(b []byte, a *answer) []byte {
	b = strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(a.status), 10)
	b = append(append(append(b, ' '), a.reason...), "\r\n"...)
	for _, f := range a.fields {
		mark := len(b)
		switch f.kind {
		case kOther, kCookie, kOrigin, kReferer, kExpect, kHost:
			if named(a.named, f.name) {
				continue
			}
			b = appendField(b, f.name, f.value)
			continue
		case kClearData:
			// "cookies" and "*" reach the cookies of the whole registrable
			// domain: the visit's, other sites' and the console's.
			if !bytes.Contains(bytes.ToLower(f.value), []byte("cookies")) && bytes.IndexByte(f.value, '*') < 0 {
				b = appendField(b, f.name, f.value)
			}
			continue
		case kSetCookie, kLocation, kRefresh, kAllowOrigin:
		default:
			continue
		}
		b = append(append(b, f.name...), ": "...)
		n := len(b)
		switch f.kind {
		case kSetCookie:
			b = appendSetCookie(b, f.value)
		case kRefresh:
			b = x.origins.appendRefresh(b, f.value)
		default:
			b = x.origins.appendToSite(b, f.value)
		}
		if len(b) == n && f.kind == kSetCookie {
			b = b[:mark]
			continue
		}
		b = append(b, "\r\n"...)
	}
	if x.guest.Cookie != "" {
		b = appendSetVisit(b, x.guest.Cookie)
	}
	return b
}

func named(names [][]byte, name []byte) bool {
	for _, n := range names {
		if bytes.EqualFold(n, name) {
			return true
		}
	}
	return false
}
