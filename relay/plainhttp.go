package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"time"

	"trunkline/internal/evtls"
)

const (
	saySoTime = 2 * time.Second // for the answer to go, and for the rest of the request to come
	saySoMost = 64 << 10        // bytes of the request that are waited for
)

const plainAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"This port speaks TLS: ask for the same with https:// in place of http://.\n"

// sayTLS answers a browser that was led here by http://, which else learns
// nothing. Whatever else is no TLS, err says the same of and gets no answer.
func sayTLS(raw *evtls.Conn, err error) {
	header, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || header.Conn == nil || !beginsHTTP(header.RecordHeader) {
		return
	}
	_ = raw.SetDeadline(time.Now().Add(saySoTime))
	if _, err := io.WriteString(raw, plainAnswer); err != nil {
		return
	}
	// A close before the request is read resets the connection, and takes the
	// answer with it.
	if raw.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, raw, saySoMost)
	}
}

// methods, as far as a record's header goes (RFC 9110, section 9, and RFC 5789).
var methods = []string{"GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO", "CONNE", "TRACE"}

func beginsHTTP(first [5]byte) bool { return slices.Contains(methods, string(first[:])) }
