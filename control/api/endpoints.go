package api

import (
	"cmp"
	"context"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
)

const defaultLimit = 50 // items in a page

func (a *api) activate(ctx context.Context, who fleet.Principal, q controlapi.ActivationRequest) (controlapi.Grant, error) {
	g, err := a.fleet.Activate(ctx, fleet.Activation{
		Serial: q.Serial, Model: q.Model, Firmware: q.Firmware, Key: q.PublicKey, Proof: q.Proof,
		HotStandby: hotStandby(q.HotStandby), Code: q.Code, Email: q.Email, Password: q.Password, Remote: who.Remote,
	})
	return grant(g), err
}

func (a *api) renewPass(ctx context.Context, who fleet.Principal, q controlapi.RenewalRequest) (controlapi.Grant, error) {
	g, err := a.fleet.RenewPass(ctx, fleet.Renewal{Device: q.Device, Nonce: q.Nonce, Proof: q.Proof, Remote: who.Remote})
	return grant(g), err
}

func (a *api) signIn(ctx context.Context, who fleet.Principal, q controlapi.SignInRequest) (controlapi.Session, error) {
	s, err := a.fleet.SignIn(ctx, q.Email, q.Password, who.Remote)
	return session(s), err
}

func (a *api) signOut(ctx context.Context, who fleet.Principal, _ none) (none, error) {
	return none{}, a.fleet.SignOut(ctx, who)
}

func (a *api) devices(ctx context.Context, who fleet.Principal, q controlapi.DeviceQuery) (controlapi.DevicePage, error) {
	p, err := a.fleet.Devices(ctx, who, fleet.DeviceQuery{
		Search: q.Search, Status: fleet.Status(q.Status), Cursor: q.Cursor, Limit: cmp.Or(q.Limit, defaultLimit),
	})
	return page(p, a.deviceJSON), err
}

func (a *api) device(ctx context.Context, who fleet.Principal, q devicePath) (controlapi.Device, error) {
	d, err := a.fleet.Device(ctx, who, q.ID)
	return a.deviceJSON(d), err
}

func (a *api) removeDevice(ctx context.Context, who fleet.Principal, q devicePath) (none, error) {
	return none{}, a.fleet.RemoveDevice(ctx, who, q.ID)
}

func (a *api) startVisit(ctx context.Context, who fleet.Principal, q controlapi.VisitRequest) (controlapi.VisitStart, error) {
	v, err := a.fleet.StartVisit(ctx, who, fleet.VisitRequest{Device: q.Device, Method: q.Method})
	return controlapi.VisitStart{Visit: visit(fleet.Visit{Visit: v.Visit}), URL: v.URL, Handover: v.Handover}, err
}

func (a *api) endVisit(ctx context.Context, who fleet.Principal, q visitPath) (none, error) {
	return none{}, a.fleet.EndVisit(ctx, who, q.ID)
}

func (a *api) visits(ctx context.Context, who fleet.Principal, q controlapi.PageQuery) (controlapi.VisitPage, error) {
	p, err := a.fleet.Visits(ctx, who, fleet.VisitQuery{Cursor: q.Cursor, Limit: cmp.Or(q.Limit, defaultLimit)})
	return page(p, visit), err
}

func (a *api) subscription(ctx context.Context, who fleet.Principal, _ none) (controlapi.Subscription, error) {
	s, err := a.fleet.Subscription(ctx, who)
	return controlapi.Subscription{
		Status: s.Status, Holder: s.Holder, Connections: s.Connections, Used: s.Used, Expires: s.Expires,
	}, err
}

func (a *api) audit(ctx context.Context, who fleet.Principal, q controlapi.AuditQuery) (controlapi.AuditPage, error) {
	p, err := a.fleet.Audit(ctx, who, fleet.AuditQuery{
		Search: q.Search, Action: q.Action, Cursor: q.Cursor, Limit: cmp.Or(q.Limit, defaultLimit),
	})
	return page(p, auditEntry), err
}
