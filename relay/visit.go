package relay

import (
	"context"
	"net/netip"

	"trunkline/internal/id"
	"trunkline/relay/edge"
	"trunkline/relay/trust"
)

func (r *Relay) admitVisit(cookie string, site id.Site, a edge.Activity, key uint64) (edge.Guest, error) {
	return guest(r.trust.AdmitVisit(cookie, site, trust.Activity(a), key))
}

func (r *Relay) redeem(ctx context.Context, handover string, site id.Site, remote netip.Addr) (edge.Guest, error) {
	return guest(r.trust.Redeem(ctx, handover, site, remote))
}

func guest(g trust.Guest, err error) (edge.Guest, error) { return edge.Guest(g), err }
