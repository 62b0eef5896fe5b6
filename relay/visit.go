package relay

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/trace"
	"trunkline/internal/tunnel"
	"trunkline/relay/edge"
	"trunkline/relay/peer"
	"trunkline/relay/trust"
)

func (r *Relay) admitVisit(cookie string, site id.Site, a edge.Activity, key uint64) (edge.Guest, error) {
	return guest(r.trust.AdmitVisit(cookie, site, trust.Activity(a), key))
}

func (r *Relay) redeem(ctx context.Context, handover string, site id.Site, remote netip.Addr) (edge.Guest, error) {
	began := time.Now()
	g, err := r.trust.Redeem(ctx, handover, site, remote)
	span := r.traces.Continue(g.Visit.Trace, "redeem handover", trace.Server, began)
	span.Set(trace.Visit, string(g.Visit.ID))
	span.End(err)
	return guest(g, err)
}

// doubt has the relay that holds the device's tunnel ask whether its portal answers.
func (r *Relay) doubt(d id.Device, v id.Visit) {
	if at := r.holder(d); at != "" && at != r.o.Name {
		r.peers.Tell(at, peer.Notice{Kind: peer.Doubt, Device: d, Visit: v})
		return
	}
	r.uplink.Doubt(d)
}

func guest(g trust.Guest, err error) (edge.Guest, error) { return edge.Guest(g), err }

// report passes on what trust says of a visit: to control, and its end to the
// devices that were visited.
func (r *Relay) report(e bus.VisitEvent) {
	r.reports.Add(e)
	if e.Kind == "handover_refused" { // whose visit nobody else here has
		span := r.traces.Continue(e.Trace, "redeem handover", trace.Server, e.At)
		span.Set(trace.Visit, string(e.Visit))
		span.End(fault.New(e.Code, "The handover was refused."))
	}
	if e.Kind == "ended" {
		if d, ok := r.guests.ended(e); ok {
			r.peers.TellAll(peer.Notice{Kind: peer.VisitEnded, Device: d, Visit: e.Visit, Code: e.Code})
		}
	}
}

// checkGuestsEvery is for how long the PBX's staff may see somebody who has gone.
const checkGuestsEvery = 5 * time.Minute

func (r *Relay) checkGuests(ctx context.Context) error {
	tick := time.NewTicker(checkGuestsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			r.guests.check(ctx, time.Now(), r.peers.Serves)
		}
	}
}

// endVisit is for the PBX's staff, who may end visits to their PBX and no
// others. Control hears of it by the report, and has it ended everywhere.
func (r *Relay) endVisit(d id.Device, v id.Visit) {
	for _, by := range r.guests.visits(d, v) {
		if by == "" {
			r.trust.End(v, fault.EndedByPBX)
			continue
		}
		r.peers.Tell(by, peer.Notice{Kind: peer.EndVisit, Device: d, Visit: v})
	}
}

// login has the agent of d sign v's visitor in.
func (r *Relay) login(ctx context.Context, d id.Device, v token.Visit) (tunnel.Login, error) {
	s, err := r.dial(ctx, d, tunnel.Header{Service: tunnel.ServiceLogin, Visit: v.ID, Who: v.Who, Method: v.Method, Trace: v.Trace})
	if err != nil {
		return tunnel.Login{}, err
	}
	defer s.Close()
	if t, ok := ctx.Deadline(); ok {
		_ = s.SetReadDeadline(t) // a stream that takes none is closed: Read says so
	}
	l, err := tunnel.ReadLogin(s)
	var f *fault.Error
	switch {
	case err == nil, errors.As(err, &f):
		return l, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return l, fault.New(fault.LoginFailed, "The agent on the PBX did not answer the sign-in in time.")
	}
	return l, fault.New(fault.LoginFailed, "The connection to the PBX broke during the sign-in.")
}
