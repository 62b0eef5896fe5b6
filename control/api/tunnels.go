package api

import (
	"context"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
)

// wishFleet is the part of Fleet that keeps where tunnels should be.
type wishFleet interface {
	Wish(context.Context, fleet.Principal) (fleet.Wish, error)
	EditWish(context.Context, fleet.Principal, fleet.WishEdit) (fleet.Wish, error)
}

type editTunnelSettings struct {
	matching
	controlapi.TunnelSettingsEdit
}

func (a *api) tunnelSettings(ctx context.Context, who fleet.Principal, _ none) (controlapi.TunnelSettings, string, error) {
	return taggedWish(a.fleet.Wish(ctx, who))
}

func (a *api) editTunnelSettings(ctx context.Context, who fleet.Principal, q editTunnelSettings) (controlapi.TunnelSettings, string, error) {
	return taggedWish(a.fleet.EditWish(ctx, who, fleet.WishEdit{Match: string(q.Match), Region: q.Region, Second: q.SecondTunnel}))
}

func taggedWish(w fleet.Wish, err error) (controlapi.TunnelSettings, string, error) {
	return controlapi.TunnelSettings{Region: w.Region, SecondTunnel: w.Second}, w.Tag(), err
}
