package api

import (
	"context"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
)

const defaultLimit = 50 // items in a page

// planFleet is the part of Fleet that knows an account's numbers.
type planFleet interface {
	Subscription(context.Context, fleet.Principal) (fleet.Subscription, error)
	InstallLicense(ctx context.Context, p fleet.Principal, file []byte) (fleet.Subscription, error)
	Overview(context.Context, fleet.Principal) (fleet.Overview, error)
}

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

func (a *api) subscription(ctx context.Context, who fleet.Principal, _ none) (controlapi.Subscription, error) {
	s, err := a.fleet.Subscription(ctx, who)
	return subscription(s), err
}

func (a *api) installLicence(ctx context.Context, who fleet.Principal, q controlapi.LicenceUpload) (controlapi.Subscription, error) {
	s, err := a.fleet.InstallLicense(ctx, who, []byte(q.File))
	return subscription(s), err
}

func (a *api) overview(ctx context.Context, who fleet.Principal, _ none) (controlapi.Overview, error) {
	o, err := a.fleet.Overview(ctx, who)
	out := controlapi.Overview{
		Devices: controlapi.Counts{
			Connected: o.Devices[fleet.StatusConnected], Disconnected: o.Devices[fleet.StatusDisconnected],
			NeverConnected: o.Devices[fleet.StatusNever], NotActivated: o.Devices[fleet.StatusNotActivated],
		},
		UnknownSince: o.Unknown, OverCapacity: o.OverCapacity, Alarms: o.Alarms, Visits: o.Visits, Subscription: subscription(o.Subscription),
		Samples: make([]controlapi.Sample, 0, len(o.Samples)),
	}
	for _, s := range o.Samples {
		out.Samples = append(out.Samples, controlapi.Sample{At: s.At, Connected: s.Connected, Devices: s.Devices, Visits: s.Visits})
	}
	return out, err
}

func subscription(s fleet.Subscription) controlapi.Subscription {
	return controlapi.Subscription{
		Status: s.Status, Holder: s.Holder, Plan: s.Plan, Connections: s.Connections, Used: s.Used, Allotted: s.Allotted,
		ResellersUsed: s.ResellersUsed, NotBefore: s.NotBefore, Expires: s.Expires, Grace: s.Grace, GraceEnds: s.GraceEnds,
		Warning: s.Warning, Next: s.Next, Features: s.Features, Root: s.Root,
	}
}
