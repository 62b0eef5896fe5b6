package edge

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 has it, and nothing is kept secret by it
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

var errH2Head = errors.New("no head for HTTP/1.1")

// appendH1 writes the request's head. Whatever could be read in two ways
// after the change of protocol is an error (RFC 9113, section 10.3).
//
// With a key the request is an extended CONNECT, and becomes the handshake of
// RFC 6455 with that key: HTTP/2 has none.
func appendH1(b []byte, r *http.Request, key string) ([]byte, error) {
	method, target := r.Method, r.RequestURI
	if key != "" {
		method = http.MethodGet
	}
	if !isTokens(method) || !isVisible(r.Host) || !isVisible(target) || target[0] != '/' && target != "*" {
		return nil, errH2Head
	}
	b = append(append(append(append(b, method...), ' '), target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.Host...), "\r\n"...)
	for name, values := range r.Header {
		if key != "" && (name == pseudoProtocol || strings.EqualFold(name, "Sec-WebSocket-Key")) {
			continue
		}
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
	if key != "" {
		if r.ContentLength != -1 {
			return nil, errH2Head // a tunnel has no length, and one of nothing is none
		}
		return append(append(append(b, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "...), key...), "\r\n\r\n"...), nil
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

// pseudoProtocol is where x/net puts an extended CONNECT's protocol.
const pseudoProtocol = ":protocol"

// isWebSocket reports whether the request is a WebSocket's (RFC 8441, section 5).
func isWebSocket(r *http.Request) bool {
	return r.Method == http.MethodConnect && r.Header.Get(pseudoProtocol) == "websocket"
}

// newKey is a handshake's (RFC 6455, section 4.1).
func newKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// acceptOf is the answer to a handshake's key (RFC 6455, section 4.2.2). The
// browser sent none and cannot check it: it is the relay that does.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
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
