package relay

import (
	"context"
	"net/netip"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
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

// report passes on what trust says of a visit: to control, and its end to the
// devices that were visited.
func (r *Relay) report(e bus.VisitEvent) {
	r.reports.Add(e)
	if e.Kind == "ended" {
		r.guests.ended(e)
	}
}

// endVisit is for the PBX's staff, who may end visits to their PBX and no
// others. Control hears of it by the report, and has it ended everywhere.
func (r *Relay) endVisit(d id.Device, v id.Visit) {
	if r.guests.visits(d, v) {
		r.trust.End(v, fault.EndedByPBX)
	}
}
