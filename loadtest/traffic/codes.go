package traffic

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"trunkline/internal/fault"
	"trunkline/internal/visitor"
)

// Codes of what no part of Trunkline has a code for.
const (
	codeTimeout   = "timeout"
	codeRefused   = "connection_refused"
	codeTLS       = "tls_failed"    // or the certificate is not believed
	codeLost      = "no_answer"     // the connection was lost before there was any
	CodeCut       = "answer_cut"    // in the middle of one; a Loss of another code brought nothing
	CodeRestart   = "relay_restart" // of a message: instead of its echo came a close frame with 1012
	codeHandshake = "bad_handshake" // a WebSocket's, which is answered 101 and wrong
	codeBytes     = "wrong_bytes"   // see the result's checked bytes
)

const maxProblem = 64 << 10

// why is the code of a request that brought no answer.
func why(err error) string {
	var f *fault.Error
	var timeout net.Error
	switch {
	case errors.As(err, &f):
		return string(f.Code)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return codeTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return codeRefused
	case untrusted(err):
		return codeTLS
	}
	return codeLost
}

// untrusted reports whether no TLS came about.
func untrusted(err error) bool {
	var (
		cert   *tls.CertificateVerificationError
		alert  tls.AlertError // the other side's
		record tls.RecordHeaderError
	)
	return errors.As(err, &cert) || errors.As(err, &alert) || errors.As(err, &record)
}

// broken is the code of an answer that has begun.
func broken(err error) string {
	if code := why(err); code == codeTimeout {
		return code
	}
	return CodeCut
}

// refused is the code of an answer that is not the portal's, the relay's own if it
// says one, and its words.
func refused(resp *http.Response) (code, words string) {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // a part is no document
	return said(resp.StatusCode, resp.Header.Get("Content-Type"), b)
}

func said(status int, kind string, body []byte) (code, words string) {
	var p fault.Problem
	if strings.HasPrefix(kind, "application/problem+json") && json.Unmarshal(body, &p) == nil && slices.Contains(fault.Codes(), p.Code) {
		return string(p.Code), p.Detail
	}
	return "status_" + strconv.Itoa(status), ""
}

// unopened is the code of a WebSocket that did not come about.
func unopened(err error) string {
	s, ok := errors.AsType[*visitor.StatusError](err)
	switch {
	case !ok:
		return why(err)
	case s.Status == http.StatusSwitchingProtocols:
		return codeHandshake
	}
	code, _ := said(s.Status, s.Type, []byte(s.Body))
	return code
}
