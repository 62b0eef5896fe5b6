package fault

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Problem is a problem document (RFC 9457) with our members code, field and
// reference beside the registered ones.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   Code   `json:"code"`
	Field  string `json:"field,omitempty"`
	// Reference ties an internal error to its line in the log.
	Reference string `json:"reference,omitempty"`
	// RetryAfter in seconds repeats the header of that name.
	RetryAfter int `json:"retry_after,omitempty"`
}

// ProblemOf describes err; ref is shown only if err is no fault.
func ProblemOf(err error, ref string) Problem {
	var f *Error
	if !errors.As(err, &f) {
		f = &Error{Code: Internal, Message: "Something went wrong on our side. Give the reference to the operator."}
	} else {
		ref = ""
	}
	s := Status(f.Code)
	return Problem{
		Type: "urn:trunkline:problem:" + string(f.Code), Title: http.StatusText(s), Status: s,
		Detail: f.Message, Code: f.Code, Field: f.Field, Reference: ref,
		RetryAfter: int(math.Ceil(f.Retry.Seconds())),
	}
}

// Write sends p as the whole response.
func (p Problem) Write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.WriteHeader(p.Status)
	// The status is out: a failed write has nobody left to be told.
	_ = json.NewEncoder(w).Encode(p)
}

// Fault makes a received problem a fault again.
func (p Problem) Fault() *Error {
	e := New(p.Code, "%s", p.Detail).In(p.Field)
	return e.After(secondsToDuration(p.RetryAfter))
}

func secondsToDuration(s int) time.Duration { return time.Duration(s) * time.Second }
