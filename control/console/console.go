// Package console is the provider's web console: what staff see of their PBXs
// and the button that opens one. It is the HTML face of control/fleet and
// decides nothing: who may see, visit or remove what is fleet's rule, and a
// refusal is shown as fleet words it.
//
// Pages are rendered here, whole, and work without JavaScript; the script adds
// live rows, relative times that move on, and the automatic step from a
// handover to the PBX. The console keeps no state between requests but the
// count of open event streams. It owns its session cookie; nobody else reads
// or writes it.
package console

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/control/fleet"
)

// Options of a console. Fleet and Zone are needed.
type Options struct {
	Fleet      Fleet
	Zone       string // sites are https://<site>.<Zone><Port>
	Port       string // "" or ":8443"
	Log        *zap.Logger
	Version    string                // shown at the foot of every page
	Registerer prometheus.Registerer // nil: no metrics
	Now        func() time.Time      // nil: time.Now
}

type console struct {
	o       Options
	log     *zap.Logger
	now     func() time.Time
	mux     *http.ServeMux
	origins *http.CrossOriginProtection
	assets  assets
	pages   map[string]pageTemplate
	after   map[string]string // by a form's pattern, its page's
	streams streams
	metrics metrics
	// csp and handoverCSP differ in where a form may go: only the page that
	// carries a handover may post to a site.
	csp, handoverCSP string
}

// New makes the handler for everything on the console's host but the API.
func New(o Options) (http.Handler, error) {
	c, err := newConsole(o)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func newConsole(o Options) (*console, error) {
	switch {
	case o.Fleet == nil:
		return nil, errors.New("console: no fleet")
	case o.Zone == "":
		return nil, errors.New("console: no zone")
	case o.Port != "" && !strings.HasPrefix(o.Port, ":"):
		return nil, errors.New(`console: port must be "" or begin with ":"`)
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &console{
		o: o, log: o.Log.With(zap.String("part", "console")), now: o.Now,
		mux: http.NewServeMux(), origins: http.NewCrossOriginProtection(), metrics: newMetrics(o.Registerer),
	}
	c.csp = contentPolicy("'self'")
	c.handoverCSP = contentPolicy("'self' https://*." + o.Zone + o.Port)
	var err error
	if c.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if c.pages, err = c.loadPages(); err != nil {
		return nil, err
	}
	c.after = map[string]string{}
	for _, r := range c.routes() {
		c.after[r.pattern] = r.page
		c.mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) { c.serve(w.(*response), req, r) })
	}
	return c, nil
}

// A route is public, or it is behind the door and its handler is told who asks.
type route struct {
	pattern string
	page    string // of a form: the page that has it, to go on at after a sign-in
	public  func(*response, *http.Request) error
	signed  func(*response, *http.Request, fleet.Principal) error
}

// serve runs one route: the only place that calls a handler.
func (c *console) serve(w *response, r *http.Request, to route) {
	var p fleet.Principal
	err := limitBody(w, r)
	if err == nil {
		if to.public != nil {
			err = to.public(w, r)
		} else if p, err = c.enter(r); err == nil {
			w.user = p.User
			err = to.signed(w, r, p)
		}
	}
	if err != nil {
		c.fail(w, r, p, err)
	}
}
