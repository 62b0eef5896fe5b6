package console

import (
	"bytes"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// What a form may send, and how long it may take; the largest is the sign-in.
const (
	maxForm  = 16 << 10
	bigForm  = 160 << 10 // a licence, escaped
	formTime = 15 * time.Second
)

// response notes what the request's one log event needs.
type response struct {
	http.ResponseWriter
	status int
	user   id.User
	code   fault.Code
	ref    string
	live   bool // it goes on for as long as the page is open
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach flushing and deadlines.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// send writes a whole page.
func (w *response) send(status int, page *bytes.Buffer) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// The status is out: whoever has gone meanwhile cannot be told anything.
	_, _ = w.Write(page.Bytes())
	return nil
}

// redirect goes on with GET to a path of ours.
func (w *response) redirect(path string) error {
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// ServeHTTP puts the headers on, refuses cross-origin posts, routes, and logs.
func (c *console) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &response{ResponseWriter: rw}
	start := c.now()
	defer func() {
		if p := recover(); p != nil {
			c.recovered(w, r, p)
		}
		c.logRequest(w, r, c.now().Sub(start))
	}()
	c.secure(w.Header())
	if err := c.origins.Check(r); err != nil {
		c.fail(w, r, nobody, fault.New(fault.CrossSite, "This request came from another site's page. Open the console and try from there."))
		return
	}
	c.mux.ServeHTTP(w, r)
}

// recovered turns a panic into a 500 page, or into a cut connection if the
// answer had begun: half a page must not look whole.
func (c *console) recovered(w *response, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	w.ref = id.Ref()
	c.log.Error("panic", zap.String("ref", w.ref), zap.String("route", r.Pattern), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	c.fail(w, r, nobody, nil)
}

// logRequest leaves out the path and the query: they hold ids and what people
// searched for; the pattern says which page it was.
func (c *console) logRequest(w *response, r *http.Request, took time.Duration) {
	pattern := r.Pattern
	if pattern == "" {
		pattern = "none"
	}
	c.metrics.requests.WithLabelValues(pattern, statusClass(w.status)).Inc()
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		return
	}
	if !w.live {
		c.metrics.duration.Observe(took.Seconds())
	}
	f := []zap.Field{
		zap.String("route", pattern), zap.Int("status", w.status), zap.Float64("dur_ms", float64(took.Microseconds())/1000),
		zap.Stringer("remote", remote(r)),
	}
	if w.user != "" {
		f = append(f, zap.String("user", string(w.user)))
	}
	if w.code != "" {
		f = append(f, zap.String("code", string(w.code)))
	}
	if w.ref != "" {
		f = append(f, zap.String("ref", w.ref))
	}
	c.log.Info("request", f...)
}

func statusClass(s int) string {
	switch {
	case s < 300:
		return "2xx"
	case s < 400:
		return "3xx"
	case s < 500:
		return "4xx"
	}
	return "5xx"
}

// limitBody bounds and parses what a form sends.
func limitBody(w *response, r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	limit := int64(maxForm)
	if r.URL.Path == "/subscription" {
		limit = bigForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	// Best effort: a recorder in a test has no deadlines.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(formTime))
	err := r.ParseForm()
	if err == nil && strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		err = r.ParseMultipartForm(bigForm)
	}
	_ = rc.SetReadDeadline(time.Time{})
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fault.New(fault.TooLarge, "The form is larger than any form of the console.")
		}
		return fault.New(fault.Invalid, "The form is malformed.")
	}
	return nil
}
