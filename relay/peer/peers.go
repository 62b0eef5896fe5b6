package peer

import (
	"context"
	"crypto/tls"
	"errors"
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
	"trunkline/internal/mux"
	"trunkline/internal/peercert"
)

// Options wires Peers. All fields are needed.
type Options struct {
	Config
	Relay id.Relay // this one
	// Alone is closed when no other relay has this one's name. Until then none is
	// dialled: it would ask this relay for what the other has. Streams wait for it too, for a while.
	Alone <-chan struct{}
	// Certify has control sign a certificate request, in this relay's name.
	Certify func(ctx context.Context, request []byte) ([]byte, error)
	// Admit opens a stream to a device here, for another relay. Its faults reach
	// that relay as they are; not_at_this_relay has it look the device up again.
	Admit func(ctx context.Context, from id.Relay, q Request) (Device, error)
	// Holder is the relay that has a device's tunnel, as far as is known: a kept
	// stream that does not go there is not used again.
	Holder func(id.Device) id.Relay
	// Besides reports whether a device can be reached otherwise than through r.
	Besides func(d id.Device, r id.Relay) bool
	// Heard gets what another relay tells; it must not block.
	Heard func(from id.Relay, n Notice)
	// Seen is for how long a visit that this relay serves has been idle here.
	Seen func(id.Visit) (idle time.Duration, ok bool)
	// Lost is told of a relay that neither has a link here nor a lease, or was started
	// anew: nothing that it served goes on there.
	Lost func(id.Relay)
	// Connected says whether leases can be renewed at the moment.
	Connected func() bool
	// Poller watches the links.
	Poller     *evtls.Poller
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Peers is the other relays. Safe for concurrent use.
type Peers struct {
	o        Options
	identity *identity
	windows  *mux.Budget
	metrics  *metrics

	ping  atomic.Int64 // between two on a link, in ns
	known atomic.Bool  // a snapshot of the leases was complete

	mu  sync.Mutex
	all map[id.Relay]*peer
	run func(*peer) // keeps a new peer's links; nil before Run
}

// windowsMax bounds by how much the windows of streams between relays may grow.
const windowsMax = 256 << 20

func New(o Options) *Peers {
	p := &Peers{o: o, windows: mux.NewBudget(windowsMax), all: make(map[id.Relay]*peer)}
	p.identity = newIdentity(o.Relay, o.Certify, o.Log)
	p.metrics = newMetrics(p)
	p.ping.Store(int64(pingEvery))
	return p
}

// SetRoots replaces the authorities whose certificates are believed.
func (p *Peers) SetRoots(roots []peercert.Root) { p.identity.setRoots(roots) }

// ServerTLS is for connections with ALPN, which Serve takes.
func (p *Peers) ServerTLS() *tls.Config { return p.identity.server(p.expected) }

// Run keeps certificate and links until ctx ends, and returns when all of them
// are closed.
func (p *Peers) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	g, life := errgroup.WithContext(ctx)
	p.mu.Lock()
	p.run = func(q *peer) {
		wg.Go(func() {
			select {
			case <-p.o.Alone:
				q.keep(life)
			case <-life.Done():
			}
		})
	}
	for _, q := range p.all {
		p.run(q)
	}
	p.mu.Unlock()
	g.Go(func() error { return p.identity.run(life) })
	g.Go(func() error { p.expireLeases(life); return nil })
	err := g.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = nil
	return err
}

// Apply takes one event of the bucket of leases, in order.
func (p *Peers) Apply(e bus.Event[bus.Lease]) {
	switch e.Kind {
	case bus.Put:
		if e.Key == string(e.Value.Relay) && e.Value.Relay != p.o.Relay && e.Value.Peer != "" { // a relay speaks for itself only
			p.renew(e.Value)
		}
	case bus.Delete:
		if q := p.find(id.Relay(e.Key)); q != nil {
			q.lapse()
			p.lost(q)
		}
	case bus.Reset: // the bus was away: give every relay its time to renew
		p.each(func(q *peer) { q.touch(time.Now()) })
	case bus.Synced:
		p.known.Store(true)
	}
}

// Known reports whether the bus has told of all relays, once.
func (p *Peers) Known() bool { return p.known.Load() }

func (p *Peers) renew(l bus.Lease) {
	if p.renewed(l) {
		p.o.Lost(l.Relay)
	}
}

// renewed reports whether the relay was started anew since its last lease.
func (p *Peers) renewed(l bus.Lease) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.all[l.Relay]
	if q == nil {
		q = &peer{all: p, name: l.Relay, changed: make(chan struct{})}
		p.all[l.Relay] = q
		if p.run != nil {
			p.run(q)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	again := !q.lease.Started.IsZero() && !q.lease.Started.Equal(l.Started)
	q.lease, q.heard, q.gone = l, time.Now(), false
	q.tellLocked()
	return again
}

func (p *peer) touch(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = now
}

// lapse notes that the lease has ended. The peer is kept, for its links and for
// when it is back: there are as many as there were ever relays.
func (p *peer) lapse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.tellLocked()
}

// expireLeases ends those that a bucket which came back empty has not got again.
func (p *Peers) expireLeases(ctx context.Context) {
	for pause(ctx, bus.LeaseEvery) {
		if !p.o.Connected() {
			continue
		}
		p.each(func(q *peer) {
			q.mu.Lock()
			old := time.Since(q.heard) > 2*bus.LeaseTTL && !q.gone
			q.mu.Unlock()
			if old {
				q.lapse()
				p.lost(q)
			}
		})
	}
}

// lost has Lost told if nothing of q is left.
func (p *Peers) lost(q *peer) {
	q.mu.Lock()
	nothing := q.gone && len(q.links) == 0
	q.mu.Unlock()
	if nothing {
		p.o.Lost(q.name)
	}
}

func (p *Peers) find(r id.Relay) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[r]
}

func (p *Peers) each(f func(*peer)) {
	p.mu.Lock()
	all := make([]*peer, 0, len(p.all))
	for _, q := range p.all {
		all = append(all, q)
	}
	p.mu.Unlock()
	for _, q := range all {
		f(q)
	}
}

var (
	errUnknown = errors.New("a relay without a lease")
	errFull    = errors.New("as many links as there may be")
)

// expected is which relays may connect: those whose leases the bus has.
func (p *Peers) expected(r id.Relay) error {
	q := p.find(r)
	if q == nil {
		return errUnknown
	}
	return nil
}

// Serve holds a link that another relay has dialled, until it ends. It owns c,
// whose handshake is done and whose raw connection is an evtls.Conn.
func (p *Peers) Serve(ctx context.Context, c *tls.Conn) {
	r, err := p.identity.peerOf(c.ConnectionState())
	q := p.find(r)
	if err != nil || q == nil {
		_ = c.NetConn().Close() // the handshake has just said otherwise: a root was withdrawn
		return
	}
	l := newLink(ctx, p, r, c, false)
	if !q.add(l) {
		l.stop()
		_ = c.NetConn().Close()
		return
	}
	p.hold(q, l)
}

// hold runs a link that q has taken in.
func (p *Peers) hold(q *peer, l *link) {
	p.o.Log.Info("link up", zap.String("peer", string(q.name)), zap.Stringer("remote", l.conn.RemoteAddr()))
	err := l.run()
	q.remove(l)
	p.lost(q)
	p.o.Log.Info("link down", zap.String("peer", string(q.name)), zap.Error(err))
}

// linkTime is how long a request waits for a link that is about to come up.
const linkTime = 3 * time.Second

// Open opens a stream to a device at relay r. Errors are faults: relay_unreachable
// and relay_lost, and what that relay refuses with, not_at_this_relay among it.
func (p *Peers) Open(ctx context.Context, r id.Relay, q Request) (*Stream, error) {
	s, err := p.open(ctx, r, q)
	p.metrics.forwarded(err)
	return s, err
}

func (p *Peers) open(ctx context.Context, r id.Relay, q Request) (*Stream, error) {
	peer := p.find(r)
	if peer == nil {
		return nil, away(r)
	}
	p.settle(ctx)
	var late <-chan time.Time
	for {
		l, changed := peer.best()
		if l != nil {
			return l.open(ctx, q)
		}
		if late == nil {
			t := time.NewTimer(linkTime)
			defer t.Stop()
			late = t.C
		}
		select {
		case <-changed:
		case <-late:
			return nil, away(r)
		case <-ctx.Done():
			return nil, away(r)
		}
	}
}

// settle waits for Alone, for a while: before, others take what comes from here for that of
// the life before, and end it with that.
func (p *Peers) settle(ctx context.Context) {
	select {
	case <-p.o.Alone:
		return
	default:
	}
	late := time.NewTimer(linkTime)
	defer late.Stop()
	select {
	case <-p.o.Alone:
	case <-late.C: // while the bus is away it may stay open for long
	case <-ctx.Done():
	}
}

func away(r id.Relay) error {
	return fault.New(fault.RelayAway, "The PBX is connected through relay %s, which cannot be reached from here at the moment.", r).After(5 * time.Second)
}
