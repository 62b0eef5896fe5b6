package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// What logs and metrics say of a client that did not wait for its answer. It
// is never sent.
const statusClientGone = 499

var errClientGone = fault.New("client_gone", "The client did not wait.")

// exchange is one request's response as it comes about, and the facts for its
// log event.
type exchange struct {
	http.ResponseWriter
	status   int  // sent; 0: nothing yet
	streamed bool // its duration says nothing of our speed
	who      fleet.Principal
	body     []byte // the request's, once it was read
	err      error  // why it was refused
	ref      string // of an internal error
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// ServeHTTP is where every request comes by, once.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w}
	start := time.Now()
	defer func() { a.finish(x, r, start, recover()) }()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	boundBody(x, r)
	if err := a.cross.Check(r); err != nil {
		x.refuse(fault.New(fault.CrossSite, "A page of another site sent this request."))
		return
	}
	a.mux.ServeHTTP(x, r)
}

// answer is what a request that was not refused gets.
type answer struct {
	Status int    `json:"status"`
	ETag   string `json:"etag,omitempty"`
	Body   []byte `json:"body,omitempty"` // JSON
}

func answerOf(rt route, out any) (answer, error) {
	if rt.status == http.StatusNoContent {
		return answer{Status: rt.status}, nil
	}
	var tag string
	if t, ok := out.(tagged); ok {
		out, tag = t.out, t.tag
	}
	b, err := json.Marshal(out)
	if err != nil {
		return answer{}, fmt.Errorf("encode answer: %w", err)
	}
	return answer{Status: rt.status, ETag: etagOf(tag, b), Body: b}, nil
}

// answer sends a, or that the client has it already.
func (x *exchange) answer(r *http.Request, a answer) {
	h := x.Header()
	if a.ETag != "" {
		h.Set("ETag", a.ETag)
	}
	switch {
	case a.Status == http.StatusNoContent:
		x.WriteHeader(a.Status)
		return
	case unchanged(r, a.ETag):
		x.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	x.WriteHeader(a.Status)
	// The status is out: a failed write has nobody left to be told.
	_, _ = x.Write(a.Body)
}

// refuse sends err as a problem document, unless an answer is under way.
func (x *exchange) refuse(err error) { x.refuseAs(err, 0) }

// refuseAs is refuse with a status other than the code's; 0 is the code's.
func (x *exchange) refuseAs(err error, status int) {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w (%w)", fault.New(fault.Unavailable, "This took too long. Try again.").After(5*time.Second), err)
	}
	x.err = err
	if fault.CodeOf(err) == fault.Internal {
		x.ref = id.Ref()
	}
	if x.status != 0 {
		return
	}
	p := fault.ProblemOf(err, x.ref)
	if status != 0 {
		p.Status, p.Title = status, http.StatusText(status)
	}
	if h := x.Header(); h.Get("WWW-Authenticate") == "" && p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="trunkline"`) // RFC 9110, section 15.5.2
	}
	p.Write(x)
}

// finish leaves the request's one log event and its metrics. A panic is an
// internal error here: it ends this request and no other.
func (a *api) finish(x *exchange, r *http.Request, start time.Time, panicked any) {
	// An answer under way is cut, so that it cannot pass for a whole one.
	err, _ := panicked.(error)
	aborted := errors.Is(err, http.ErrAbortHandler)
	cut := panicked != nil && (x.status != 0 || aborted)
	if panicked != nil && !aborted {
		x.refuse(fmt.Errorf("panic: %v\n%s", panicked, debug.Stack()))
	}
	if r.Context().Err() != nil && errors.Is(x.err, context.Canceled) {
		x.status, x.err, x.ref = statusClientGone, errClientGone, ""
	}
	route := cmp.Or(r.Pattern, "/")
	took := time.Since(start)
	a.metrics.observe(route, x.status, took, x.streamed)
	fields := []zap.Field{
		zap.String("method", r.Method[:min(len(r.Method), 16)]), zap.String("route", route), zap.Int("status", x.status),
		zap.String("code", string(fault.CodeOf(x.err))), zap.Float64("dur_ms", float64(took.Microseconds())/1000),
		zap.Stringer("remote", remoteOf(r)),
	}
	if x.who.User != "" {
		fields = append(fields, zap.String("account", string(x.who.Account)), zap.String("user", string(x.who.User)))
	}
	if x.ref != "" {
		a.log.Error("api request", append(fields, zap.String("reference", x.ref), zap.Error(x.err))...)
	} else {
		a.log.Info("api request", fields...)
	}
	if cut {
		panic(http.ErrAbortHandler)
	}
}

// elsewhere answers for what no row has: the path, or its method only (RFC
// 9110, section 15.5.6).
func (a *api) elsewhere(w http.ResponseWriter, r *http.Request) {
	x := w.(*exchange)
	var allowed []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		other := *r
		other.Method = method
		if _, pattern := a.mux.Handler(&other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		x.refuse(fault.New(fault.NotFound, "There is nothing here. GET /api/v1/openapi.json lists what is."))
		return
	}
	allow := strings.Join(allowed, ", ")
	x.Header().Set("Allow", allow)
	x.refuseAs(fault.New(fault.Invalid, "This path knows only %s.", allow), http.StatusMethodNotAllowed)
}
