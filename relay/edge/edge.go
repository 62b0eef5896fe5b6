// Package edge is the browser's side of a relay: it takes a browser's
// connection, finds the site in the host name, asks for a visit at the door
// and carries requests and answers between the browser and the PBX's portal.
//
// A request is one descent, in one function (exchange.descend): host, site,
// door, route, stream, head and body out, head and body back, stream returned
// to the pool or reset. Both heads are parsed strictly and written anew; no
// byte of one passes unparsed. Bodies go through one pooled buffer in each
// direction, whatever their size.
//
// It is not what decides: who may visit, where a device is and how it is
// dialled are funcs of Options. It knows no multiplexer, no NATS and no cookie's
// contents.
//
// Owners. ServeTLS owns its connection and returns when that is closed. A
// stream belongs to one exchange or to the pool, never to both. Whoever
// starts a goroutine for an exchange waits for it before the exchange ends.
package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"trunkline/internal/evtls"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/trace"
	"trunkline/internal/tunnel"
)

// Guest is a browser that the door let in.
type Guest struct {
	Visit  token.Visit
	Cookie string              // if not "", the browser is given it: the visit resealed
	Ended  <-chan struct{}     // closed when the visit ends; nil: never
	Why    func() fault.Code   // what ended it, once it has; nil: nobody knows
	Count  func(in, out int64) // of bytes from and to the browser, as they pass; may be nil
	Busy   func()              // what a person began goes on; nil if none did
	Spoke  func(key uint64)    // the browser sent a message on an upgraded connection; may be nil
	// Served notes which device shows the visitor a page, and says which one did
	// before; "" if none. nil: the visit is to one device, whatever it is to its pair.
	Served func(id.Device) (before id.Device)
}

// Route says where a site is served now.
type Route struct {
	Device id.Device
	Since  time.Time  // of the state
	Down   fault.Code // why there is no tunnel; "" while there is one
	Moving bool       // it went down just now, and there may be another one: Dial knows
	Portal tunnel.Portal
	// Standby is what the device says of its pair; nil: a single PBX.
	Standby *tunnel.Standby
	Account id.Account // whose the device is
}

// Stream is a connection to a device's agent.
type Stream interface {
	net.Conn
	Alive() bool // a cheap check that the far side has not closed it
	Reset()      // end it at once, so that the far side sees a break and no end
}

// Options are what an Edge needs. Zone, Admit, Redeem, Route, Dial, Log and
// Registerer must be set.
type Options struct {
	Zone       string // sites are <site>.<Zone>
	Port       string // of the public origin; informative: every request's own Host says it
	ConsoleURL string // where visits begin

	// Admit checks the visit cookie, which it does not keep; faults visit_needed, visit_for_other_site, and those of fault.Over.
	Admit func(cookie string, site id.Site, a Activity, key uint64) (Guest, error)
	// Revive is for a cookie that Admit takes for idle: whether it has found out from
	// others that the visit goes on. It may take seconds. nil: there are no others.
	Revive func(ctx context.Context, cookie string) bool
	// Redeem turns a handover into a visit; faults handover_invalid, handover_used, unavailable.
	Redeem func(ctx context.Context, handover string, site id.Site, remote netip.Addr) (Guest, error)
	// End ends a visit at its visitor's wish, or because it cannot begin; nil if
	// that is not offered.
	End func(token.Visit, fault.Code)
	// Login has the device's agent sign the visitor in at the portal; faults
	// portal_login_failed, forbidden, and those of Dial. nil: no visit is passwordless.
	Login func(ctx context.Context, device id.Device, v token.Visit) (tunnel.Login, error)
	// Doubt is told of a device whose portal failed a request; it must not
	// block. nil: nobody wants to know.
	Doubt func(id.Device, id.Visit)
	// Crowded is told of a device that has half the streams it may have or more,
	// some of them lodged: who keeps those should close what is idle. It must not
	// block, nor call the Edge. nil: nobody wants to know.
	Crowded func(id.Device)
	// Route finds the device of a site, or the named device of it if device is not "".
	Route func(site id.Site, device id.Device) (Route, bool)
	// Dial opens a stream to a device; faults as Route.Down has them.
	Dial func(ctx context.Context, device id.Device, h Header) (Stream, error)

	// Poller has loops serve what is simple (see lane); nil, or one without
	// loops: goroutines serve all.
	Poller *evtls.Poller
	// Traces makes a span of each sampled request of a visit that is traced; nil: none.
	Traces *trace.Tracer

	Live
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Edge serves browsers. It is safe for concurrent use.
type Edge struct {
	o       Options
	zone    string // lower case, with a leading dot
	console string // the console's origin
	log     *zap.Logger
	server  *fasthttp.Server
	h2      *h2
	pool    *pool
	live    atomic.Pointer[live]
	swaps   *swaps
	pages   *pages
	m       *metrics

	retiring atomic.Bool   // every answer is its connection's last
	draining atomic.Bool   // and no connection waits for a request
	goAway   chan struct{} // closed when upgraded connections must end, in a pause
	cut      chan struct{} // closed when all must

	mu    sync.Mutex // guards conns and empty
	conns map[*conn]struct{}
	empty chan struct{} // set by Drain, closed when conns is empty
}

// New checks the options; it starts nothing.
func New(o Options) (*Edge, error) {
	zone := strings.ToLower(strings.Trim(o.Zone, "."))
	if zone == "" {
		return nil, errors.New("edge: no zone")
	}
	if o.Admit == nil || o.Redeem == nil || o.Route == nil || o.Dial == nil || o.Log == nil || o.Registerer == nil {
		return nil, errors.New("edge: Admit, Redeem, Route, Dial, Log and Registerer must be set")
	}
	u, err := url.Parse(o.ConsoleURL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("edge: console URL %q: need https://host", o.ConsoleURL)
	}
	o.Limits = o.Limits.withDefaults()
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	e := &Edge{
		o: o, zone: "." + zone, console: "https://" + strings.ToLower(u.Host), log: o.Log.With(zap.String("part", "edge")),
		pages: newPages(o.ConsoleURL), swaps: newSwaps(), m: m, goAway: make(chan struct{}), cut: make(chan struct{}), conns: make(map[*conn]struct{}),
	}
	e.pool = newPool(o.Limits, o.Dial, m)
	e.pool.tellCrowds(o.Crowded)
	e.live.Store(e.newLive(o.Live, nil))
	e.server = e.newServer()
	if e.h2, err = newH2(e); err != nil {
		return nil, fmt.Errorf("edge: http2: %w", err)
	}
	return e, nil
}

// newServer is fasthttp with nothing left to its defaults. It parses requests
// and keeps the connection; answers are written by the exchange (see conn.mute).
func (e *Edge) newServer() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:       e.handle,
		ExpectHandler: e.expect,
		ErrorHandler:  e.unparsable,
		// After the head no total limit is left: the connection's own rolling
		// limit replaces this one.
		HeaderReceived: func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
			expectation(h)
			return fasthttp.RequestConfig{ReadTimeout: e.o.Limits.Progress}
		},
		ReadTimeout:        e.o.Limits.Header,
		IdleTimeout:        e.o.Limits.Idle,
		ReadBufferSize:     e.o.Limits.HeadSize,
		WriteBufferSize:    1,       // writes go through to conn, one for one: conn.mute counts on it
		Concurrency:        1 << 30, // join is what limits
		MaxRequestBodySize: 1 << 62, // streamed, never held

		StreamRequestBody:             true,
		DisablePreParseMultipartForm:  true,
		DisableHeaderNamesNormalizing: true,
		NoDefaultServerHeader:         true,
		NoDefaultDate:                 true,
		NoDefaultContentType:          true,
		SecureErrorLogMessage:         true,
		Logger:                        discard{},
	}
}

// discard takes fasthttp's own log: every request has its event in ours.
type discard struct{}

func (discard) Printf(string, ...any) {}

// handle serves one request of a browser's connection.
func (e *Edge) handle(ctx *fasthttp.RequestCtx) {
	if x := ctx.Conn().(*conn).expected(); x != nil {
		x.finish(x.goOn())
		return
	}
	x := e.begin(ctx)
	x.finish(x.descend())
	x.c.returnBehind(x)
}

// finish ends an exchange that has come to err, unless it lives on upgraded.
func (x *exchange) finish(err error) {
	switch {
	case err == nil:
	case x.begun || errors.Is(err, errGone):
		x.breakOff(err)
	default:
		x.refuse(err)
	}
	if !x.upgraded {
		x.end()
	}
}

// unparsable answers what is no request.
func (e *Edge) unparsable(ctx *fasthttp.RequestCtx, err error) {
	c := ctx.Conn().(*conn)
	if !c.spoke {
		c.mute = true // a browser that connected ahead of need, and had none
		return
	}
	if x := c.expected(); x != nil {
		x.noBody(err)
		return
	}
	x := e.begin(ctx)
	c.linger = true
	var small *fasthttp.ErrSmallBuffer
	var timeout net.Error
	switch {
	case errors.As(err, &small):
		x.refuse(fault.New(fault.HeadersTooLarge, "The request's headers exceed %d KiB. Clearing this site's cookies often helps.", e.o.Limits.HeadSize/1024))
	case errors.As(err, &timeout) && timeout.Timeout():
		x.refuse(fault.New(fault.HelloTimeout, "The request did not arrive in time."))
	default:
		x.refuse(fault.New(fault.Invalid, "This is not a well-formed HTTP/1.1 request."))
	}
	x.end()
}
