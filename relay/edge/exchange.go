package edge

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/trace"
)

// exchange is one request and its answer. It lives on its connection's
// goroutine; what others touch is atomic, and they have ended when it has, so
// that the connection's next one can take its place.
type exchange struct {
	e   *Edge
	c   *conn
	ctx *fasthttp.RequestCtx // nil in a lane, and once the connection is handed over

	req         request
	site        id.Site
	guest       Guest
	key         uint64 // of its kind, for Guest.Spoke
	route       Route
	origins     origins
	remote      netip.Addr
	wantUpgrade bool
	expects     bool // the browser waits to be told to send its body
	asked       bool // the portal has the head, and has not answered

	dues      dues
	over      chan struct{} // closed by abort; nil unless bytes are limited
	link      *link         // while there is one
	down      download
	leave     context.CancelFunc // while it waits for its stream: nil otherwise
	uploading atomic.Bool        // somebody reads the browser's connection, or will
	begun     bool               // the browser has been sent a byte of the answer
	upgraded  bool               // and the connection handed over
	last      bool               // the connection's last request
	reused    bool               // the stream came from the pool
	cause     atomic.Pointer[error]

	start   time.Time
	took    time.Duration // for the log
	fields  [1]zap.Field  // of its event: here none has to be allocated
	what    string        // for the log: page, door, portal, upgrade
	status  int
	code    fault.Code
	err     error // behind the code
	ref     string
	next    string      // where the page of a refusal leads on to; "": nowhere
	span    *trace.Span // nil: the request is not traced
	refusal []byte      // to be sent when the exchange has ended, if it is not fasthttp that does so
	in, out atomic.Int64
	told    struct{ in, out int64 } // to the metrics and guest.Count
	toldAt  time.Time
}

// What ends an exchange that can no longer be answered.
var (
	errGone       = errors.New("the browser has gone")
	errVisitEnded = errors.New("the visit has ended")
)

// Codes of the log and the metrics that no browser ever sees.
const (
	codeGone  fault.Code = "browser_gone"
	statusCut int        = 499 // of the log, when the browser did not wait: nginx's number
)

func (e *Edge) begin(ctx *fasthttp.RequestCtx) *exchange {
	return e.beginOn(ctx.Conn().(*conn), ctx)
}

func (e *Edge) beginOn(c *conn, ctx *fasthttp.RequestCtx) *exchange {
	c.setBusy(true)
	e.m.active.Inc()
	if c.exchange == nil {
		c.exchange = new(exchange)
	}
	now := time.Now()
	*c.exchange = exchange{e: e, c: c, ctx: ctx, remote: c.remote, start: now, toldAt: now, what: "page"}
	c.stage.Store(stageAsked)
	if e.retiring.Load() {
		c.exchange.mustClose()
	}
	return c.exchange
}

// descend is the way of a request through the relay. An error is a fault for
// the browser, or tells breakOff why the answer stopped.
func (x *exchange) descend() error {
	if err := x.parse(); err != nil {
		return err
	}
	if err := x.findSite(); err != nil {
		return err
	}
	if x.isDoor() {
		if x.expects {
			return errBodyWanted
		}
		return x.door()
	}
	if err := x.admitOrAsk(); err != nil {
		return err
	}
	x.trace()
	return x.descendAdmitted()
}

// descendAdmitted is the second half, for who has been let in.
func (x *exchange) descendAdmitted() error {
	if err := x.findRoute(); err != nil {
		return err
	}
	if err := x.notice(); err != nil {
		return err
	}
	return x.proxy()
}

func (x *exchange) parse() error {
	h, r := &x.ctx.Request.Header, &x.req
	r.fields = x.c.fields[:0]
	r.http10 = !h.IsHTTP11()
	r.method = methodOf(h.Method())
	if err := r.parse(h.RawHeaders()); err != nil {
		x.mustClose()
		return fault.New(fault.Invalid, "The request's headers are malformed or ambiguous.")
	}
	x.c.fields = r.fields
	if r.method == "TRACE" || r.method == "CONNECT" {
		x.mustClose()
		return fault.New(fault.Invalid, "This method is not served here.")
	}
	if err := r.setTarget(h.RequestURI()); err != nil {
		return err
	}
	if err := x.checkExpect(); err != nil {
		return err
	}
	// An upgrade to HTTP/2 is an offer that may be ignored; without that, the
	// portal would speak HTTP/2 on a stream that we take for something else.
	x.wantUpgrade = r.upgrade != nil && r.names("upgrade") && r.method == "GET" && r.length == 0 && !r.http10 &&
		!hasPrefixFold(r.upgrade, "h2c") && !hasPrefixFold(r.upgrade, "tls/")
	if x.c.plain {
		return x.behindProxy()
	}
	return nil
}

// behindProxy takes the browser's address and scheme from the load balancer.
func (x *exchange) behindProxy() error {
	var proto []byte
	for _, f := range x.req.fields {
		if f.kind != kForward {
			continue
		}
		switch {
		case strings.EqualFold(string(f.name), "X-Forwarded-Proto"):
			proto = f.value
		case strings.EqualFold(string(f.name), "X-Forwarded-For"):
			last := bytes.TrimSpace(f.value[bytes.LastIndexByte(f.value, ',')+1:])
			if a, ok := x.c.forwardedFor(last); ok {
				x.remote = a
			}
		}
	}
	if !strings.EqualFold(string(proto), "https") {
		return fault.New(fault.HostMismatch, "Sites are served over HTTPS only; the load balancer must say so in X-Forwarded-Proto.")
	}
	return nil
}

// methodOf avoids an allocation for the common ones.
func methodOf(m []byte) string {
	switch string(m) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	case "HEAD":
		return "HEAD"
	}
	return string(m)
}

// admitOrAsk is admit, and takes its time where a visit seems idle that goes on at
// another relay.
func (x *exchange) admitOrAsk() error {
	err := x.admit()
	if fault.CodeOf(err) == fault.VisitIdle && x.e.o.Revive != nil && x.e.o.Revive(context.Background(), x.cookie()) {
		return x.admit()
	}
	return err
}

// cookie is the visit's; "" if the request has none.
func (x *exchange) cookie() string {
	for _, f := range x.req.fields {
		if v, ok := visitCookie(f.value); ok && f.kind == kCookie {
			return v
		}
	}
	return ""
}

func (x *exchange) admit() error {
	cookie := x.cookie()
	if cookie == "" {
		return fault.New(fault.VisitNeeded, "Open this PBX from the console.")
	}
	a, key := x.activity()
	g, err := x.e.o.Admit(cookie, x.site, a, key)
	if err != nil {
		return err
	}
	x.guest, x.key = g, key
	return nil
}

func (x *exchange) findRoute() error {
	r, ok := x.e.o.Route(x.site, x.guest.Visit.Device)
	if !ok {
		return fault.New(fault.UnknownSite, "There is no such site, or its PBX has never been connected.")
	}
	x.route = r
	if r.Down != "" && !r.Moving {
		return fault.New(fault.NotConnected, "The PBX is not connected.").After(10 * time.Second)
	}
	var err error
	x.origins, err = newOrigins(x.req.host, r.Portal)
	return err
}

// mustClose makes this the connection's last request.
func (x *exchange) mustClose() {
	if x.ctx != nil {
		x.ctx.SetConnectionClose()
	}
	x.last = true
}

// abort ends the exchange from another goroutine.
func (x *exchange) abort(cause error) {
	waits := x.leave != nil
	if waits {
		x.leave()
		if !errors.Is(cause, errGone) {
			return // nothing has been said: an answer can still say why
		}
	}
	if x.cause.CompareAndSwap(nil, &cause) {
		if !waits {
			x.link.Reset()
		}
		x.c.kill()
		if x.over != nil {
			close(x.over) // last: who waited must find the rest as it is
		}
	}
}

// breakOff ends an exchange whose answer is incomplete, so that the browser
// cannot take it for complete.
func (x *exchange) breakOff(err error) {
	if p := x.cause.Load(); p != nil {
		err = *p
	}
	switch {
	case errors.Is(err, errGone):
		x.code = codeGone
	case errors.Is(err, errVisitEnded):
		x.code = x.endedBy()
	default:
		x.code = portalFault(err).Code
	}
	if !x.begun {
		x.status = statusCut
	}
	x.c.kill()
	x.c.mute = x.ctx != nil
	x.mustClose()
}

// count passes what has come and gone to the metrics and the visit's owner.
func (x *exchange) count(now time.Time) {
	x.toldAt = now
	in, out := x.in.Load(), x.out.Load()
	if in == x.told.in && out == x.told.out {
		return
	}
	x.e.m.in.Add(float64(in - x.told.in))
	x.e.m.out.Add(float64(out - x.told.out))
	if x.guest.Count != nil {
		x.guest.Count(in-x.told.in, out-x.told.out)
		if x.guest.Busy != nil {
			x.guest.Busy()
		}
	}
	x.told.in, x.told.out = in, out
}

// event is the log's of this exchange; nil if it gets none. What failed, and
// what took as long as an exemplar is kept of, is never left out.
func (x *exchange) event(now time.Time) *zapcore.CheckedEntry {
	n := x.e.live.Load().accessLog
	if x.code == "" && x.status < 500 && now.Sub(x.start) < exemplarFrom && (n == 0 || rand.IntN(n) != 0) {
		return nil
	}
	return x.e.log.Check(zap.InfoLevel, "request")
}

// end writes the exchange's one log event, if it has one.
func (x *exchange) end() {
	now := time.Now()
	x.count(now)
	e := x.e
	x.dues.leave()
	e.m.active.Dec()
	e.m.done(x.status, x.code)
	x.doubt()
	x.endSpan()
	if ce := x.event(now); ce != nil {
		x.took = now.Sub(x.start)
		x.fields[0] = zap.Inline(x)
		ce.Write(x.fields[:]...)
	}
	if e.draining.Load() {
		x.mustClose() // it said before the drain that the connection goes on
	}
	x.c.stage.Store(stageIdle)
	clear(x.c.fields) // they point into buffers that are others' now
	clear(x.c.answerFields)
	x.c.rolling = false
	x.c.setBusy(false)
}

// doubt has the portal looked at whose fault it was that a request failed.
func (x *exchange) doubt() {
	switch x.code {
	case fault.PortalRefused, fault.PortalTimeout, fault.PortalReset, fault.PortalGarbage:
		x.suspect()()
	}
}

// suspect says that this request gets no answer, or none that is right. Of the
// exchange it needs nothing any more when it does.
func (x *exchange) suspect() (tell func()) {
	doubt, d, v := x.e.o.Doubt, x.route.Device, x.guest.Visit.ID
	return func() {
		if doubt != nil {
			doubt(d, v)
		}
	}
}

// MarshalLogObject writes the event's fields.
func (x *exchange) MarshalLogObject(to zapcore.ObjectEncoder) error {
	to.AddString("site", string(x.site))
	to.AddString("device", string(x.route.Device))
	to.AddString("visit", string(x.guest.Visit.ID))
	to.AddString("method", clip(x.req.method))
	to.AddString("what", x.what)
	to.AddInt64("status", int64(x.status))
	to.AddInt64("dur_ms", x.took.Milliseconds())
	to.AddInt64("bytes_in", x.in.Load())
	to.AddInt64("bytes_out", x.out.Load())
	to.AddBool("reused", x.reused)
	if x.code != "" {
		to.AddString("code", string(x.code))
		to.AddString("ref", x.ref)
		to.AddString("remote", x.remote.String())
		zap.Error(x.err).AddTo(to)
	}
	if n := x.e.live.Load().accessLog; n > 1 {
		to.AddInt("one_of", n)
	}
	return nil
}

// clip bounds what a hostile method can put into the log.
func clip(method string) string {
	return method[:min(len(method), 16)]
}
