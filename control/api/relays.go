package api

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
)

// relayFleet is the part of Fleet that knows the relays.
type relayFleet interface {
	Relays(context.Context, fleet.Principal, fleet.RelayQuery) (fleet.Page[fleet.Relay], error)
}

func (a *api) relays(ctx context.Context, who fleet.Principal, q controlapi.RelayQuery) (controlapi.Page[controlapi.Relay], error) {
	p, err := a.fleet.Relays(ctx, who, fleet.RelayQuery{
		Search: q.Search, State: fleet.RelayState(q.State), Sort: q.Sort, Desc: q.Order == "desc", Cursor: q.Cursor, Limit: cmp.Or(q.Limit, defaultLimit),
	})
	return page(p, relay), err
}

func relay(r fleet.Relay) controlapi.Relay {
	out := controlapi.Relay{
		Name: r.Name, State: string(r.State), Since: r.Since, LastSeen: r.Seen, Started: r.Started, Region: r.Region, Version: r.Version,
		Addrs: r.Addrs, Tunnels: r.Load.Tunnels, TunnelsMax: r.Load.TunnelsMax, CPU: int(math.Round(r.Load.CPU * 100)),
	}
	if !r.Unknown.IsZero() {
		out.State, out.Since = controlapi.StatusUnknown, r.Unknown
	}
	for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
		out.Labels = append(out.Labels, controlapi.Label{Name: k, Value: r.Labels[k]})
	}
	return out
}
