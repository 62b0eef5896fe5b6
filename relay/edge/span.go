package edge

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"

	"trunkline/internal/fault"
	"trunkline/internal/trace"
)

// trace begins x's span, if its visit is traced and it is sampled: it has been
// let in. What the span says of the request is said now, since the head may be
// gone at its end.
func (x *exchange) trace() {
	v := &x.guest.Visit
	if x.e.o.Traces == nil || v.Trace == "" {
		return
	}
	method := spanMethod(x.req.method)
	name := method
	if name == otherMethod {
		name = "HTTP"
	}
	s := x.e.o.Traces.Sampled(v.Trace, name, trace.Server, x.start)
	if s == nil {
		return
	}
	// Before the query, and before what some portals put their sessions behind.
	path := x.req.target
	if i := bytes.IndexAny(path, "?;"); i >= 0 {
		path = path[:i]
	}
	s.Set("http.request.method", method)
	s.Set("url.scheme", "https")
	s.Set("url.path", string(path))
	s.Set(trace.Site, string(x.site))
	s.Set(trace.Visit, string(v.ID))
	x.span = s
}

// endSpan says what became of x.
func (x *exchange) endSpan() {
	s := x.span
	if s == nil {
		return
	}
	s.Set(trace.Device, string(x.route.Device))
	s.SetInt("http.response.status_code", int64(x.status))
	s.SetInt("http.request.body.size", x.in.Load())
	s.SetInt("http.response.body.size", x.out.Load())
	switch {
	case x.code != "":
		s.Fail(x.code)
	case x.status >= 500:
		s.Fail(fault.Code(strconv.Itoa(x.status)))
	}
	s.End(nil)
	x.span = nil
}

// otherMethod is what the semantic conventions have for an unknown one.
const otherMethod = "_OTHER"

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

func spanMethod(m string) string {
	if slices.Contains(methods, m) {
		return m
	}
	return otherMethod
}
