package traffic

import (
	"context"
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
)

// Codes of what no part of Trunkline has a code for.
const (
	codeTimeout  = "timeout"
	codeRefused  = "connection_refused"
	codeLost     = "no_answer"         // the connection was lost before there was any
	codeCut      = "answer_cut"        // in the middle of one
	codeBytes    = "wrong_bytes"       // see the result's checked bytes
	codeNoSocket = "websocket_is_down" // a message was due while there was none
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
	}
	return codeLost
}

// broken is the code of an answer that has begun.
func broken(err error) string {
	if code := why(err); code == codeTimeout {
		return code
	}
	return codeCut
}

// refused is the code of an answer that is not the portal's: the relay's own, if
// it says one.
func refused(resp *http.Response) string {
	var p fault.Problem
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") &&
		json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&p) == nil && slices.Contains(fault.Codes(), p.Code) {
		return string(p.Code)
	}
	return "status_" + strconv.Itoa(resp.StatusCode)
}
