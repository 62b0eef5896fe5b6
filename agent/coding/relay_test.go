package coding_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// seen is an answer as a browser sees it through the relay.
type seen struct {
	status  int
	header  http.Header
	body    string
	trailer string
	cut     bool // before its end
}

// look reads what came in the way of relay/edge, in as few words as possible:
// what Conn makes of an answer must come to the same here. It also gives what
// is behind the last answer that has an end. Unless raw, codings are undone.
func look(came []byte, method string, raw bool) (all []seen, rest []byte) {
	for {
		s, n, last := lookOne(came, method)
		if s == nil {
			return all, came
		}
		came = came[n:]
		if s.status < 200 && s.status != 101 {
			continue
		}
		if !raw && s.header.Get("Content-Encoding") != "" {
			s.undo()
		}
		all = append(all, *s)
		if s.cut {
			return all, nil
		}
		if last {
			return all, came
		}
	}
}

// undo is what a browser does about the coding. What is cut off gives as much as
// has come.
func (s *seen) undo() {
	b, err := decode(s.header.Get("Content-Encoding"), []byte(s.body))
	s.body, s.cut = string(b), s.cut || err != nil
}

func decode(as string, b []byte) ([]byte, error) {
	var r io.Reader
	var err error
	switch as {
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(b))
	case "zstd":
		// As browsers do: a window of 8 MB at most (RFC 9659).
		var z *zstd.Decoder
		if z, err = zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20)); err == nil {
			defer z.Close()
			r = z
		}
	default:
		err = errors.New("no coding of ours")
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// lookOne reads one answer of n bytes; none is read that the relay would refuse.
// last is one whose end is the connection's.
func lookOne(b []byte, method string) (s *seen, n int, last bool) {
	end := 0
	for i := range b {
		if b[i] == '\n' && (bytes.HasPrefix(b[i+1:], []byte("\n")) || bytes.HasPrefix(b[i+1:], []byte("\r\n"))) {
			end = i + 1 + bytes.IndexByte(b[i+1:], '\n') + 1
			break
		}
	}
	if end == 0 {
		return nil, 0, false
	}
	var kept []string
	for l := range strings.SplitSeq(string(b[:end]), "\n") {
		kept = append(kept, strings.TrimSuffix(l, "\r"))
	}
	start := kept[0]
	if len(start) < 12 || start[:7] != "HTTP/1." || start[7] != '0' && start[7] != '1' || start[8] != ' ' || len(start) > 12 && start[12] != ' ' {
		return nil, 0, false
	}
	status, err := strconv.ParseUint(start[9:12], 10, 16)
	if err != nil || status < 100 || status > 599 {
		return nil, 0, false
	}
	s = &seen{status: int(status), header: http.Header{}}
	length, chunks := -1, false
	for _, l := range kept[1:] {
		if l == "" {
			break
		}
		if l[0] == ' ' || l[0] == '\t' {
			continue // folded: of the field before
		}
		name, value, ok := strings.Cut(l, ":")
		if !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) }) {
			return nil, 0, false
		}
		value = strings.Trim(value, " \t")
		for _, c := range []byte(value) {
			if c < ' ' && c != '\t' || c == 0x7f {
				return nil, 0, false
			}
		}
		switch name = textproto.CanonicalMIMEHeaderKey(name); name {
		case "Content-Length":
			v, err := strconv.ParseUint(value, 10, 62)
			if err != nil || len(value) > 18 || length >= 0 && length != int(v) {
				return nil, 0, false
			}
			length = int(v)
		case "Transfer-Encoding":
			if chunks || !strings.EqualFold(value, "chunked") {
				return nil, 0, false
			}
			chunks = true
		}
		s.header.Add(name, value)
	}
	body := b[end:]
	switch {
	case status == 101:
		return s, end, true
	case status < 200 || status == 204 || status == 205 || method == "HEAD" || status == 304:
		return s, end, false
	case chunks:
		n, ok := s.chunks(body)
		s.cut = !ok
		return s, end + n, false
	case length >= 0:
		n = min(length, len(body))
		s.body, s.cut = string(body[:n]), n < length
		return s, end + n, false
	}
	s.body = string(body)
	return s, len(b), true
}

// chunks reads a chunked body and says how long it is.
func (s *seen) chunks(b []byte) (n int, ok bool) {
	line := func() (string, bool) {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 || i >= 4096 {
			return "", false
		}
		l := string(b[n : n+i])
		n += i + 1
		return l, true
	}
	var body strings.Builder
	defer func() { s.body = body.String() }()
	for {
		l, ok := line()
		if !ok {
			return n, false
		}
		digits := strings.IndexFunc(l, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
		if digits < 0 {
			digits = len(l)
		}
		size, err := strconv.ParseUint(l[:digits], 16, 62)
		if rest := l[digits:]; err != nil || rest != "" && !strings.ContainsRune("; \t\r", rune(rest[0])) {
			return n, false
		}
		if size == 0 {
			break
		}
		k := int(min(size, uint64(len(b)-n)))
		body.Write(b[n : n+k])
		n += k
		if uint64(k) < size {
			return n, false
		}
		if l, ok := line(); !ok || l != "" && l != "\r" {
			return n, false
		}
	}
	for from := n; ; {
		l, ok := line()
		if !ok || n-from > 8<<10 {
			return n, false
		}
		if strings.ReplaceAll(l, "\r", "") == "" {
			s.trailer = strings.TrimRight(string(b[from:n]), "\r\n")
			return n, true
		}
	}
}
