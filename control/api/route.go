package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// route is one row of the table from which the mux and the OpenAPI document
// are made.
type route struct {
	method, path string // path below /api/v1
	name         string // the document's operationId
	summary      string
	scope        string // what an API token needs, or one of the words below
	agents       bool   // called by PBXs, of which many may share an address
	lenient      bool   // ignores members of the body it does not know
	creates      bool   // honours an Idempotency-Key
	status       int    // of success
	codes        []fault.Code
	endpoint
}

// Words in the place of a scope.
const (
	public      = "public"       // needs nothing
	anyToken    = "any token"    // whoever is signed in
	sessionOnly = "session only" // no API token
)

func (rt route) pattern() string { return controlapi.Base + rt.path }

func (rt route) public() bool { return rt.scope == public }

// endpoint is what a route does. in and out are struct types; none for nothing.
type endpoint struct {
	in, out reflect.Type
	call    func(ctx context.Context, who fleet.Principal, in any) (any, error)
	stream  func(x *exchange, r *http.Request, who fleet.Principal, in any) error // instead of call
	media   []string                                                              // of a stream; the first is a browser's
	tagged  bool                                                                  // its answer is a tagged one
}

type none struct{}

// on makes an endpoint of a function from what a request says to its answer.
func on[Q, A any](fn func(context.Context, fleet.Principal, Q) (A, error)) endpoint {
	return endpoint{
		in: reflect.TypeFor[Q](), out: reflect.TypeFor[A](),
		call: func(ctx context.Context, who fleet.Principal, in any) (any, error) { return fn(ctx, who, in.(Q)) },
	}
}

// tagged is an answer and the Tag of what it shows.
type tagged struct {
	out any
	tag string
}

// onTagged is on for one thing that can be edited: its answer has an ETag.
func onTagged[Q, A any](fn func(context.Context, fleet.Principal, Q) (A, string, error)) endpoint {
	return endpoint{
		in: reflect.TypeFor[Q](), out: reflect.TypeFor[A](), tagged: true,
		call: func(ctx context.Context, who fleet.Principal, in any) (any, error) {
			out, tag, err := fn(ctx, who, in.(Q))
			return tagged{out, tag}, err
		},
	}
}

// streaming makes an endpoint that writes its answer itself, of items in JSON
// or of a file.
func streaming[Q, Item any](fn func(x *exchange, r *http.Request, who fleet.Principal, in Q) error, media ...string) endpoint {
	return endpoint{
		in: reflect.TypeFor[Q](), out: reflect.TypeFor[Item](), media: media,
		stream: func(x *exchange, r *http.Request, who fleet.Principal, in any) error { return fn(x, r, who, in.(Q)) },
	}
}

func (rt route) has(place string) bool {
	return slices.ContainsFunc(fieldsOf(rt.in), func(f field) bool { return f.place == place })
}

func (rt route) bodyless() bool { return !rt.has("json") && !rt.has("body") }

// bodyOptional: everything in it can be left out.
func (rt route) bodyOptional() bool {
	return !slices.ContainsFunc(fieldsOf(rt.in), func(f field) bool { return f.required && (f.place == "json" || f.place == "body") })
}

// wholeBody is the field that is the body itself, if there is one.
func (rt route) wholeBody() (field, bool) {
	for _, f := range fieldsOf(rt.in) {
		if f.place == "body" {
			return f, true
		}
	}
	return field{}, false
}

func (rt route) bodyTypes() []string {
	if _, whole := rt.wholeBody(); whole {
		return []string{"text/plain", "application/json"}
	}
	return []string{"application/json"}
}

// bodyType is the struct whose members are the body: in, or what is embedded
// in it beside a path.
func (rt route) bodyType() reflect.Type {
	for i := range rt.in.NumField() {
		sf := rt.in.Field(i)
		if sf.Anonymous && slices.ContainsFunc(fieldsOf(sf.Type), func(f field) bool { return f.place == "json" }) {
			return sf.Type
		}
	}
	return rt.in
}

func (a *api) document(context.Context, fleet.Principal, none) (json.RawMessage, error) {
	return a.openapi, nil
}

// headers are those that a row has by what it is; the components of the
// document describe them.
func (rt route) headers() []string {
	var out []string
	if rt.creates {
		out = append(out, "Idempotency-Key")
	}
	if rt.tagged && rt.method == "GET" {
		out = append(out, "If-None-Match")
	}
	return out
}
