package edge

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
)

var errH2Head = errors.New("no head for HTTP/1.1")

// appendH1 writes the request's head. Whatever could be read in two ways
// after the change of protocol is an error (RFC 9113, section 10.3).
func appendH1(b []byte, r *http.Request) ([]byte, error) {
	target := r.RequestURI
	if !isTokens(r.Method) || !isVisible(r.Host) || !isVisible(target) || target[0] != '/' && target != "*" {
		return nil, errH2Head
	}
	b = append(append(append(append(b, r.Method...), ' '), target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.Host...), "\r\n"...)
	for name, values := range r.Header {
		switch kindOf([]byte(name)) {
		case kHost:
			if !slices.Equal(values, []string{r.Host}) {
				return nil, errH2Head
			}
			continue
		case kLength:
			if n, ok := parseLength([]byte(values[0])); !ok || len(values) > 1 || n != r.ContentLength {
				return nil, errH2Head
			}
			continue
		case kConnection, kUpgrade, kTransfer:
			return nil, errH2Head
		case kHop, kTrailer: // of this connection
			continue
		}
		for _, v := range values {
			at := len(b)
			b = appendField(b, []byte(name), []byte(v))
			if _, err := parseField(b[at : len(b)-2]); err != nil {
				return nil, errH2Head
			}
		}
	}
	if r.ContentLength != 0 && waitsForContinue(r.Body) {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	switch {
	case r.ContentLength < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.ContentLength > 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.ContentLength, 10), "\r\n"...)
	case r.Method == http.MethodPost:
		b = append(b, "Content-Length: 0\r\n"...)
	}
	return append(b, "Connection: close\r\n\r\n"...), nil
}

func isTokens(s string) bool {
	for i := range len(s) {
		if !isToken(s[i]) {
			return false
		}
	}
	return s != ""
}

// isVisible reports whether s is of one line and one word.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}
