package relay

import (
	"context"
	"net"
	"strconv"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
	"trunkline/internal/trace"
	"trunkline/internal/tunnel"
	"trunkline/relay/edge"
	"trunkline/relay/peer"
)

// dial opens a stream to a device, through its tunnel here or through the relay
// that has it. If it is not where the table says, its second tunnel serves at once;
// without one the table is watched until it says something else, for a while: nothing
// of the request has been said by then.
func (r *Relay) dial(ctx context.Context, d id.Device, h tunnel.Header) (edge.Stream, error) {
	span := r.traces.Continue(h.Trace, "open stream", trace.Client, time.Now())
	h.Trace = span.Parent()
	s, err := r.dialTraced(ctx, d, h)
	span.Set(trace.Service, h.Service)
	span.Set(trace.Device, string(d))
	span.End(err)
	return s, err
}

func (r *Relay) dialTraced(ctx context.Context, d id.Device, h tunnel.Header) (edge.Stream, error) {
	began, patience := time.Now(), movingFor
	for {
		at, _ := r.table.Device(d)
		s, err := r.dialEither(ctx, at, d, h)
		if err == nil {
			return s, nil
		}
		if relaysFault(err) {
			patience = edge.Elsewhere
		}
		waiting, leave := context.WithDeadline(ctx, began.Add(patience))
		again := r.moved(waiting, at, d, err)
		leave()
		if !again {
			r.metrics.undialled(err)
			return nil, err
		}
	}
}

// dialEither goes by the device's first tunnel, or by its second where that is not to
// be had, or is at a relay that does not answer.
func (r *Relay) dialEither(ctx context.Context, at bus.Route, d id.Device, h tunnel.Header) (edge.Stream, error) {
	if at.Relay != "" && at.Relay != r.o.Name && !r.peers.Answers(at.Relay) {
		if s, err := r.dialSecond(ctx, d, h); s != nil {
			return s, err
		}
	}
	s, err := r.dialAt(ctx, at, d, h)
	if err != nil && lost(err) {
		if s, err := r.dialSecond(ctx, d, h); s != nil {
			return s, err
		}
	}
	return s, err
}

// dialSecond goes by the device's second tunnel; nil: there is none, or it is not to
// be had.
func (r *Relay) dialSecond(ctx context.Context, d id.Device, h tunnel.Header) (edge.Stream, error) {
	second, ok := r.table.Second(d)
	if !ok {
		return nil, nil
	}
	return r.dialAt(ctx, second, d, h)
}

func (r *Relay) dialAt(ctx context.Context, at bus.Route, d id.Device, h tunnel.Header) (edge.Stream, error) {
	r.guests.serve(d, h.Visit)
	ctx, leave := context.WithTimeout(ctx, r.o.Edge.Limits.Dial)
	defer leave()
	if at.Relay == "" || at.Relay == r.o.Name {
		s, err := r.uplink.Dial(ctx, d, h)
		if err != nil {
			return nil, err // not s: a nil *Stream in an interface is not nil
		}
		return s, nil
	}
	q := peer.Request{Device: d, Header: h}
	if v, ok := r.trust.Running(h.Visit); ok {
		q.Visit = tunnel.Visit{ID: v.ID, Who: v.Who, Method: v.Method, Started: v.Started, Idle: v.Idle}
	}
	there, stop := r.whileThere(ctx, d)
	defer stop()
	s, err := r.peers.Open(there, at.Relay, q)
	if _, on := r.trust.Running(h.Visit); !on && q.Visit.ID != "" {
		r.overAt(at.Relay, d, h.Visit) // it was told before the other relay knew of the visit
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// whileThere is ctx until the table says that d is elsewhere than now: whoever waits
// for a relay that hangs, or has died, waits no longer than for that.
func (r *Relay) whileThere(ctx context.Context, d id.Device) (there context.Context, leave func()) {
	at, _ := r.table.Device(d)
	there, end := context.WithCancel(ctx)
	late := time.AfterFunc(lookAgain, func() { // mostly it was opened long before
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		for there.Err() == nil {
			if next, ok := r.table.Device(d); ok && isAnother(next, at) {
				end()
				return
			}
			select {
			case <-tick.C:
			case <-there.Done():
			}
		}
	})
	return there, func() { late.Stop(); end() }
}

const (
	// movingFor is how long a device that is not where it was said to be may take
	// to be said to be elsewhere: agents whose line broke are mostly back within it.
	// One whose relay does not answer has edge.Elsewhere.
	movingFor = 7 * time.Second
	lookAgain = 20 * time.Millisecond
)

// moved waits until the table says something else of d than at, after a failure
// that this would explain, or until the relay answers that did not, and reports
// whether to try again.
func (r *Relay) moved(ctx context.Context, at bus.Route, d id.Device, err error) bool {
	if !lost(err) {
		return false
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		next, ok := r.table.Device(d)
		switch {
		case !ok:
			return false
		case next.Down != "" && !passing(next.Down) && !isMoving(next):
			return false
		case isAnother(next, at):
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
		if relaysFault(err) && r.peers.Answers(at.Relay) {
			return true
		}
	}
}

// relaysFault: it is the relay that was not there, whatever is with the device.
func relaysFault(err error) bool {
	code := fault.CodeOf(err)
	return code == fault.RelayAway || code == fault.RelayLost
}

// besides reports whether d has a way in other than through relay.
func (r *Relay) besides(d id.Device, relay id.Relay) bool {
	second, ok := r.table.Second(d)
	return ok && second.Relay != relay
}

// isAnother: next is a tunnel that is up, and at is not that one.
func isAnother(next, at bus.Route) bool {
	return next.Down == "" && (next.Tunnel != at.Tunnel || next.Relay != at.Relay || at.Down != "")
}

// lost: the device was not where the table says.
func lost(err error) bool {
	switch fault.CodeOf(err) {
	case fault.NotHere, fault.NotConnected, fault.RelayAway, fault.RelayLost, fault.ConnectionLost:
		return true
	}
	return false
}

// isMoving reports whether a tunnel has just ended in a way after which another one is
// there, or is about to be: its word may come late. An agent that moved has stopped its
// old one; where that is one of a pair's, the other server is more likely to serve.
func isMoving(at bus.Route) bool {
	if !passing(at.Down) && (at.Down != fault.AgentStopped || at.Standby != nil) { // each request asks, mostly of one that is up
		return false
	}
	ago := time.Since(at.Since) // by the clock of another relay
	return ago >= -movingFor && ago <= movingFor
}

// passing reports whether a tunnel that ended so is followed by another soon.
func passing(down fault.Code) bool {
	switch down {
	case fault.ConnectionLost, fault.RelayLost, fault.PeerSilent, fault.Draining, fault.Replaced:
		return true
	}
	return false
}

// admitPeer opens a stream to a device here for another relay. It never goes on
// to a third: what is not here is refused.
func (r *Relay) admitPeer(ctx context.Context, from id.Relay, q peer.Request) (peer.Device, error) {
	span := r.traces.Continue(q.Header.Trace, "open stream for a relay", trace.Server, time.Now())
	s, err := r.admitPeerTraced(ctx, from, q)
	span.Set(trace.Peer, string(from))
	span.Set(trace.Service, q.Header.Service)
	span.Set(trace.Device, string(q.Device))
	span.End(err)
	return s, err
}

func (r *Relay) admitPeerTraced(ctx context.Context, from id.Relay, q peer.Request) (peer.Device, error) {
	if err := r.trust.Ended(q.Header.Visit); err != nil {
		return nil, err // the other relay, cut off from the bus, may not know it
	}
	at, _ := r.table.Device(q.Device)
	l, err := r.edge.Lodge(q.Device, at.Account)
	if err != nil {
		return nil, err
	}
	r.guests.lodge(from, q.Device, q.Visit) // before the other relay can say that it is over
	ctx, cancel := context.WithTimeout(ctx, r.o.Edge.Limits.Dial)
	defer cancel()
	s, err := r.uplink.Dial(ctx, q.Device, q.Header)
	if err != nil {
		l.Leave()
		if fault.CodeOf(err) == fault.NotConnected {
			err = fault.New(fault.NotHere, "The PBX is not connected to this relay.")
		}
		return nil, err
	}
	if l.Limited() {
		return paying{lodged{s, l}}, nil
	}
	return lodged{s, l}, nil
}

// lodged is a stream to a device here that another relay uses.
type lodged struct {
	*tunnel.Stream
	lodger *edge.Lodger
}

func (s lodged) Close() error {
	s.lodger.Leave()
	return s.Stream.Close()
}

// paying is one whose bytes are limited: they are paid after they have passed.
type paying struct{ lodged }

// Mux implements peer.Device: nobody may pass bytes on beside Write and Lend.
func (s paying) Mux() *mux.Stream { return nil }

func (s paying) Write(b []byte) (int, error) {
	n, err := s.lodged.Write(b)
	s.lodger.Pay(n)
	return n, err
}

func (s paying) Lend(size int, use func(net.Buffers) error) (int, error) {
	n, err := s.lodged.Lend(size, use)
	s.lodger.Pay(n)
	return n, err
}

// holder is the relay that has d's tunnel as far as the table knows.
func (r *Relay) holder(d id.Device) id.Relay {
	at, _ := r.table.Device(d)
	return at.Relay
}

// crowded is of a device here that has many of the streams it may have. Relays
// that forward to it keep some for their next requests, and those count.
func (r *Relay) crowded(d id.Device) {
	r.peers.TellUsers(d, peer.Notice{Kind: peer.Leaving, Device: d})
}

// leaving is of a device whose tunnel here takes no more streams.
func (r *Relay) leaving(d id.Device) {
	r.edge.Forget(d)
	r.peers.TellUsers(d, peer.Notice{Kind: peer.Leaving, Device: d})
}

// overAt tells another relay that a visit to d is not served here any more.
func (r *Relay) overAt(there id.Relay, d id.Device, v id.Visit) {
	r.peers.Tell(there, peer.Notice{Kind: peer.VisitEnded, Device: d, Visit: v, Code: r.trust.WhyOver(v)})
}

// heard takes a notice from another relay.
func (r *Relay) heard(from id.Relay, n peer.Notice) {
	switch n.Kind {
	case peer.Leaving:
		r.edge.Forget(n.Device)
	case peer.Doubt:
		r.uplink.Doubt(n.Device)
	case peer.VisitEnded:
		switch n.Code {
		case fault.EndedByVisitor, fault.EndedByPBX: // it is over everywhere, also while control is away
			r.guests.over(n.Visit, n.Code)
			r.trust.EndedElsewhere(n.Visit, n.Code)
		default:
			r.guests.endedAt(from, n.Visit, n.Code)
		}
	case peer.EndVisit:
		switch _, on := r.trust.Running(n.Visit); {
		case !on:
			r.overAt(from, n.Device, n.Visit) // it has not heard
		case len(r.guests.visits(n.Device, n.Visit)) > 0 && r.holder(n.Device) == from:
			r.trust.End(n.Visit, fault.EndedByPBX)
		}
	}
}

// certify has control sign a request for a certificate in this relay's name.
func (r *Relay) certify(ctx context.Context, request []byte) ([]byte, error) {
	a, err := bus.CallAs[bus.PeerRequest, bus.PeerCertificate](ctx, r.o.Bus, r.o.Name, bus.SubjectPeerCertificate, bus.PeerRequest{Request: request})
	return a.Cert, err
}

// peerAddr is where other relays dial this one: what is configured, or the first
// address for agents, or where it listens, if that names a host.
func (r *Relay) peerAddr() string {
	if r.o.Peer.Advertise != "" {
		return r.o.Peer.Advertise
	}
	if len(r.o.Advertise) > 0 {
		return r.o.Advertise[0]
	}
	a := r.ln.Addr().(*net.TCPAddr)
	if !a.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort(r.o.Zone, strconv.Itoa(a.Port))
}
