package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// route is one row of the table from which the mux and the OpenAPI document
// are made.
type route struct {
	method, path string // path below /api/v1
	name         string // the document's operationId
	summary      string
	public       bool // needs no session
	lenient      bool // ignores members of the body it does not know
	status       int  // of success
	codes        []fault.Code
	endpoint
}

func (rt route) pattern() string { return controlapi.Base + rt.path }

// endpoint is what a route does. in and out are struct types; none for nothing.
type endpoint struct {
	in, out reflect.Type
	call    func(ctx context.Context, who fleet.Principal, in any) (any, error)
	stream  func(x *exchange, r *http.Request, who fleet.Principal) error // instead of call
}

type none struct{}

// on makes an endpoint of a function from what a request says to its answer.
func on[Q, A any](fn func(context.Context, fleet.Principal, Q) (A, error)) endpoint {
	return endpoint{
		in: reflect.TypeFor[Q](), out: reflect.TypeFor[A](),
		call: func(ctx context.Context, who fleet.Principal, in any) (any, error) { return fn(ctx, who, in.(Q)) },
	}
}

type devicePath struct {
	ID id.Device `path:"id"`
}

type visitPath struct {
	ID id.Visit `path:"id"`
}

// routes is the table. Agents of any version call the lenient ones: a newer
// agent may say more than this control understands. Everybody else is told
// about a misspelt member.
func (a *api) routes() []route {
	activationCodes := []fault.Code{
		fault.Rejected, fault.ModelRefused, fault.FirmwareOld, fault.NoConnections, fault.LicenceExpired,
		fault.DeviceClaimed, fault.ProofInvalid, fault.TooMany,
	}
	return []route{
		{method: "POST", path: "/activations", name: "activate", public: true, lenient: true, status: 200, codes: activationCodes,
			summary: "Take a PBX into an account, by a user's e-mail and password.", endpoint: on(a.activate)},
		{method: "POST", path: "/passes", name: "renewPass", public: true, lenient: true, status: 200,
			codes:   []fault.Code{fault.ProofInvalid, fault.DeviceRemoved},
			summary: "Renew a device's pass.", endpoint: on(a.renewPass)},

		{method: "POST", path: "/sessions", name: "signIn", public: true, status: 201, codes: []fault.Code{fault.WrongLogin, fault.TooMany},
			summary: "Sign in.", endpoint: on(a.signIn)},
		{method: "DELETE", path: "/sessions/current", name: "signOut", status: 204,
			summary: "Sign out: end the session of this request.", endpoint: on(a.signOut)},

		{method: "GET", path: "/devices", name: "listDevices", status: 200,
			summary: "List the account's devices.", endpoint: on(a.devices)},
		{method: "GET", path: "/devices/{id}", name: "getDevice", status: 200, codes: []fault.Code{fault.NotFound},
			summary: "Show one device.", endpoint: on(a.device)},
		{method: "DELETE", path: "/devices/{id}", name: "removeDevice", status: 204, codes: []fault.Code{fault.NotFound, fault.Forbidden},
			summary: "Remove a device: its tunnel ends, its connection is free.", endpoint: on(a.removeDevice)},
		{method: "GET", path: "/events", name: "watchDevices", status: 200, codes: []fault.Code{fault.TooMany},
			summary:  "Watch the account's devices: server-sent events of type device. The stream ends when its reader is too slow; list again then.",
			endpoint: endpoint{in: reflect.TypeFor[none](), out: reflect.TypeFor[controlapi.DeviceEvent](), stream: a.events}},

		{method: "POST", path: "/visits", name: "startVisit", status: 201,
			codes:   []fault.Code{fault.NotFound, fault.Forbidden, fault.NotConnected, fault.LicenceExpired},
			summary: "Start a visit to a device's portal.", endpoint: on(a.startVisit)},
		{method: "GET", path: "/visits", name: "listVisits", status: 200,
			summary: "List the account's visits, newest first.", endpoint: on(a.visits)},
		{method: "DELETE", path: "/visits/{id}", name: "endVisit", status: 204, codes: []fault.Code{fault.NotFound, fault.Forbidden},
			summary: "End a visit everywhere.", endpoint: on(a.endVisit)},

		{method: "GET", path: "/subscription", name: "getSubscription", status: 200,
			summary: "Show the account's plan and what of it is in use.", endpoint: on(a.subscription)},
		{method: "GET", path: "/audit", name: "listAudit", status: 200, codes: []fault.Code{fault.Forbidden},
			summary: "List what was decided, newest first.", endpoint: on(a.audit)},
		{method: "GET", path: "/openapi.json", name: "getOpenAPI", public: true, status: 200,
			summary: "This document.", endpoint: on(a.document)},
	}
}

func (a *api) document(context.Context, fleet.Principal, none) (json.RawMessage, error) {
	return a.openapi, nil
}
