// Package relay is the data plane: one public TLS port that takes the agents'
// tunnels and the browsers' requests, and carries the latter through the
// former. This file wires its parts and is the map of them:
//
//	TLS accept --ALPN trunkline/1--> uplink --AdmitTunnel--> trust
//	           --SNI console-------> whoever serves it (Hosts)
//	           --else--------------> edge --AdmitVisit--> trust
//	                                   |--Route--> route.Table <--bus
//	                                   '--Dial---> uplink, guests, or another relay by peer
//	           --ALPN trunkline-peer/1--> peer --Admit--> uplink, guests
//
// A relay keeps nothing on disk, and what it knows goes on working while
// control or the bus is away.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/internal/bus"
	"trunkline/internal/evtls"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/peercert"
	"trunkline/internal/placement"
	"trunkline/internal/proxyproto"
	"trunkline/internal/service"
	"trunkline/internal/token"
	"trunkline/internal/trace"
	"trunkline/relay/edge"
	"trunkline/relay/peer"
	"trunkline/relay/route"
	"trunkline/relay/trust"
	"trunkline/relay/uplink"
)

// Options are what a Config cannot say.
type Options struct {
	Config
	Bus *bus.Bus
	// Certificate serves the public listener; if nil, the Config's files do.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Hosts are served by others, by host name; each takes its connection over.
	Hosts      map[string]func(*tls.Conn)
	Log        *zap.Logger
	Registerer prometheus.Registerer
	// Now is by which visits and passes are good; nil: time.Now.
	Now func() time.Time
}

// Relay is one node of the data plane.
type Relay struct {
	o     Options
	log   *zap.Logger
	ln    *proxyproto.Listener
	plain net.Listener // nil: off

	trust    *trust.Trust
	table    *route.Table
	announce *route.Announcer
	uplink   *uplink.Uplink
	edge     *edge.Edge
	peers    *peer.Peers
	relays   *placement.Relays // that live, this one among them
	reports  *reporter
	guests   *guests
	poller   *evtls.Poller
	turns    *turns
	traces   *trace.Tracer // nil: off
	public   *public
	metrics  *metrics

	drains   *drains
	drainAs  atomic.Pointer[Drain]
	renewNow chan struct{} // has the lease renewed
	namesake *namesake
}

// New binds and wires; nothing runs yet.
func New(o Options) (*Relay, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &Relay{o: o, log: o.Log.With(zap.String("relay", string(o.Name))), drains: newDrains(), renewNow: make(chan struct{}, 1)}
	r.drainAs.Store(&o.Drain)
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	r.ln = proxyproto.Listen(ln, o.ProxyProtocol)
	if o.Edge.HTTPListen != "" {
		if r.plain, err = net.Listen("tcp", o.Edge.HTTPListen); err != nil {
			return nil, errors.Join(fmt.Errorf("edge.http_listen: %w", err), r.ln.Close())
		}
	}
	if err := r.wire(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Relay) wire() error {
	o := r.o
	var err error
	r.namesake = newNamesake(o.Name, time.Now().UTC())
	r.poller = evtls.New(0)
	if r.traces, err = trace.New(trace.Options{
		Config: o.Traces, Plane: "relay", Node: string(o.Name), Version: service.Version, Log: r.log.Named("traces"), Registerer: o.Registerer,
	}); err != nil {
		return fmt.Errorf("traces: %w", err)
	}
	r.turns = newTurns(max(1, runtime.GOMAXPROCS(0)-1))
	if err := r.poller.Err(); err != nil {
		r.log.Warn("each idle tunnel will hold a goroutine", zap.Error(err))
	}
	r.reports = newReporter(o.Bus, o.Name, r.log.Named("reports"))
	r.table = route.NewTable(o.Name, func(d id.Device, at bus.Route) {
		r.uplink.Superseded(d, at.Relay)
	}, func(s id.Site, serves id.Device) { r.edge.Swapped(s, serves) })
	r.announce = route.NewAnnouncer(o.Bus, r.table, r.log.Named("route"))
	r.guests = newGuests()
	r.relays = placement.New()
	r.trust = trust.New(trust.Options{
		Bus: o.Bus, Relay: o.Name, Report: r.report, Log: r.log.Named("trust"), Registerer: o.Registerer, Now: o.Now,
		VisitRevoked: r.guests.over,
		Elsewhere: func(ctx context.Context, v id.Visit, limit time.Duration) (time.Duration, bool) {
			return r.peers.Seen(ctx, v, limit)
		},
		Peers:         func(roots []peercert.Root) { r.peers.SetRoots(roots) },
		Sealing:       func(keys []token.SealKey) { r.public.sealSessions(keys) },
		DeviceRevoked: func(d id.Device, at time.Time, cause *fault.Error) { r.uplink.End(d, at, cause) },
	})
	r.uplink = uplink.New(uplink.Options{
		Config: o.Tunnels, Relay: o.Name, Admit: r.admitTunnel, Revoked: r.trust.Revoked, Refresh: r.trust.Refresh,
		Announce: r.announced, Announced: r.table.Said, Withdraw: r.announce.Withdraw, Elsewhere: r.elsewhere, Region: r.o.Region,
		Leaving: r.leaving, Arrived: r.guests.tell, EndVisit: r.endVisit, Log: r.log.Named("uplink"), Registerer: o.Registerer,
	})
	r.peers = peer.New(peer.Options{
		Config: o.Peer, Relay: o.Name, Alone: r.namesake.alone, Certify: r.certify, Admit: r.admitPeer, Connected: o.Bus.Connected,
		Holder: r.holder, Besides: r.besides, Heard: r.heard, Seen: r.trust.Seen, Lost: r.guests.lost, Poller: r.poller,
		Log: r.log.Named("peer"), Registerer: o.Registerer,
	})
	r.guests.running, r.guests.came, r.guests.went = r.trust.Running, r.uplink.VisitStarted, r.uplink.VisitEnded
	if r.edge, err = edge.New(r.edgeOptions()); err != nil {
		return err
	}
	if r.public, err = newPublic(r); err != nil {
		return err
	}
	r.metrics = newMetrics(r)
	return nil
}

func (r *Relay) edgeOptions() edge.Options {
	o := r.o
	return edge.Options{
		Zone: o.Zone, Port: r.SitePort(), ConsoleURL: r.consoleURL(), Live: o.Edge.live(),
		Log: r.log.Named("edge"), Registerer: o.Registerer,
		Poller: r.poller, Traces: r.traces,
		Admit:  r.admitVisit,
		Revive: r.trust.Revive,
		Redeem: r.redeem,
		End:    func(v token.Visit, code fault.Code) { r.trust.End(v.ID, code) },
		Login:  r.login,
		Doubt:  r.doubt,
		Route:  r.route,
		Dial:   r.dial,
		// It is told under a lock, and links are written to.
		Crowded: func(d id.Device) { go r.crowded(d) },
	}
}

// admitTunnel has its turn, as the handshake had: it costs as much.
func (r *Relay) admitTunnel(pass string, exporter, proof []byte) (token.Pass, error) {
	r.turns.take()
	defer r.turns.give()
	return r.trust.AdmitTunnel(pass, exporter, proof)
}

// route prefers the device a visit names; else the site's active one.
func (r *Relay) route(s id.Site, d id.Device) (edge.Route, bool) {
	var at bus.Route
	var ok bool
	if d != "" {
		at, ok = r.table.Device(d)
	} else {
		at, ok = r.table.Site(s)
	}
	return edge.Route{Device: at.Device, Since: at.Since, Down: at.Down, Moving: isMoving(at), Portal: at.Portal, Standby: at.Standby, Account: at.Account}, ok
}

// Addr is the public listener's address.
func (r *Relay) Addr() net.Addr { return r.ln.Addr() }

// PlainAddr is the plain-HTTP edge's address, nil if it is off.
func (r *Relay) PlainAddr() net.Addr {
	if r.plain == nil {
		return nil
	}
	return r.plain.Addr()
}

// SitePort is what a site's URL has after the host: "" or ":8443".
func (r *Relay) SitePort() string {
	port := r.o.Port
	if port == 0 {
		port = r.ln.Addr().(*net.TCPAddr).Port
	}
	if port == 443 {
		return ""
	}
	return ":" + strconv.Itoa(port)
}

func (r *Relay) consoleURL() string {
	if r.o.Console != "" {
		// As browsers write it in Origin, with which the edge compares it.
		return strings.TrimSuffix(strings.TrimSuffix(r.o.Console, "/"), ":443")
	}
	return "https://console." + r.o.Zone + r.SitePort()
}

// Advertised is where agents dial this relay.
func (r *Relay) Advertised() []string {
	if len(r.o.Advertise) > 0 {
		return r.o.Advertise
	}
	return []string{net.JoinHostPort(r.o.Zone, strconv.Itoa(r.ln.Addr().(*net.TCPAddr).Port))}
}

// Ready says whether traffic can be sent here.
func (r *Relay) Ready() error {
	if r.drains.begun() {
		return fault.New(fault.Draining, "draining")
	}
	if err := r.trust.Ready(); err != nil {
		return err
	}
	if !r.table.Known() {
		return fault.New(fault.NotReady, "not all routes from the bus yet")
	}
	if !r.peers.Known() { // nor could it forward to those that it does not know
		return fault.New(fault.NotReady, "not all relays from the bus yet")
	}
	if !r.namesake.isAlone() {
		return fault.New(fault.NotReady, "not known yet whether another relay has this one's name")
	}
	return nil
}

// Close frees what a Relay that never ran has taken.
func (r *Relay) Close() error {
	r.traces.Close()
	return errors.Join(r.closeListeners(), r.poller.Close())
}

func (r *Relay) closeListeners() error {
	err := r.ln.Close()
	if r.plain != nil {
		err = errors.Join(err, r.plain.Close())
	}
	return err
}

// Run serves until ctx ends, then drains. The order of the end matters: what
// admits stops first, what carries running requests goes on until they are
// done, and the bus is told last.
func (r *Relay) Run(ctx context.Context) error {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, life := errgroup.WithContext(life)
	g.Go(func() error { return r.trust.Run(life) })
	g.Go(func() error { return r.watchRoutes(life) })
	g.Go(func() error { return r.announce.Run(life) })
	g.Go(func() error { return r.reports.Run(life) })
	g.Go(func() error { return r.uplink.Run(life) })
	g.Go(func() error { return r.lease(life) })
	g.Go(func() error { return r.watchLeases(life) })
	g.Go(func() error { return r.rebalance(life) })
	g.Go(func() error { return r.hearWishes(life) })
	g.Go(func() error { return r.checkGuests(life) })
	// The poller goes on until every tunnel and link has seen its end by it.
	polling, unpoll := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { return r.poller.Run(polling) })
	if r.public.files != nil {
		g.Go(func() error { return r.public.files.Run(life) })
	}
	listening, shut := context.WithCancel(life)
	defer shut()
	var serving sync.WaitGroup
	serve := func(f func() error) {
		serving.Add(1)
		g.Go(func() error { defer serving.Done(); return f() })
	}
	serve(func() error { return r.public.Run(life) })
	serve(func() error { return r.peers.Run(life) })
	if r.plain != nil {
		serve(func() error { return r.edge.ServePlain(listening, r.plain) })
	}
	g.Go(func() error { serving.Wait(); unpoll(); return nil })
	r.log.Info("relay up", zap.Stringer("listen", r.ln.Addr()), zap.String("zone", r.o.Zone))

	select {
	case <-ctx.Done():
		r.drains.begin(time.Now())
		r.drain(life, shut)
	case <-r.drains.asked:
		r.drain(life, shut)
	case <-life.Done(): // a part ended by itself: that is an error, and it is in g
	}
	stop()
	_ = r.closeListeners() // mostly closed already, by who accepts
	err := g.Wait()
	r.traces.Close()
	if r.drains.begun() {
		r.leave(context.WithoutCancel(ctx))
	}
	r.log.Info("relay stopped")
	if r.drains.begun() && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
