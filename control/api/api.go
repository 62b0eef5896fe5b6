// Package api serves control's REST API under /api/v1 and describes it in the
// OpenAPI document beside it. One table of routes makes both, and the JSON is
// that of internal/controlapi.
//
// It decides nothing: who may do what is fleet's to say. Here a request is
// bounded, parsed and let through the one door (see door.go), and whatever
// goes wrong becomes a problem document with a stable code.
//
// It does not listen. Its http.Server owns header, idle and write timeouts;
// the package itself bounds the time a body may take and how long an event
// may wait for a slow reader. To end open event streams at shutdown, the
// server's BaseContext must end.
package api

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// Fleet is what the API needs of *fleet.Fleet.
type Fleet interface {
	Activate(context.Context, fleet.Activation) (fleet.Grant, error)
	RenewPass(context.Context, fleet.Renewal) (fleet.Grant, error)
	sessions
	deviceFleet
	groupFleet
	visitFleet
	planFleet
	peopleFleet
	rightsFleet
	resellerFleet
	wishFleet
	relayFleet
	auditFleet
	answerFleet
}

// Options are all required.
type Options struct {
	Fleet      Fleet
	SiteURL    func(id.Site) string // a site's origin, with a slash at the end
	Limits     func() Limits        // asked at each request
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

type api struct {
	fleet   Fleet
	siteURL func(id.Site) string
	log     *zap.Logger
	metrics *metrics
	cross   *http.CrossOriginProtection
	streams *streams
	limits  limits
	mux     *http.ServeMux
	openapi []byte // the document
}

// New makes the handler of everything under /api/v1/.
func New(o Options) http.Handler {
	if o.Fleet == nil || o.SiteURL == nil || o.Limits == nil || o.Log == nil || o.Registerer == nil {
		panic("BUG: api.New: every option is required")
	}
	a := &api{
		fleet: o.Fleet, siteURL: o.SiteURL, log: o.Log.With(zap.String("part", "api")),
		cross: http.NewCrossOriginProtection(), streams: newStreams(), limits: newLimits(o.Limits), mux: http.NewServeMux(),
	}
	a.metrics = newMetrics(o.Registerer, a.streams)
	table := a.routes()
	a.openapi = document(table)
	for _, rt := range table {
		a.mux.HandleFunc(rt.method+" "+rt.pattern(), a.door(rt))
	}
	a.mux.HandleFunc("/", a.elsewhere)
	return a
}
