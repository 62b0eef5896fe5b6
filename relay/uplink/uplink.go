// Package uplink is the agents' side of a relay: it takes a TLS connection
// with ALPN trunkline/1 through the hello and the door, holds its tunnel,
// announces it, and opens streams on it for whoever has business with the
// device. It owns every tunnel and its connection.
//
// It does not decide who may connect (Admit does) nor where else a device may
// be found (Announce tells whoever keeps that).
package uplink

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/puzpuzpuz/xsync/v4"
	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// Config is the `tunnels` section of a relay's configuration.
type Config struct {
	Max         int           `yaml:"max"`          // tunnels held at once; more are refused
	Rate        int           `yaml:"rate"`         // new ones a second; more are closed before their TLS, by whoever listens; 0: no limit
	Rebalance   int           `yaml:"rebalance"`    // agents a minute asked to move while this relay holds more than its share, and as many that should be in another region; 0: none
	Settle      time.Duration `yaml:"settle"`       // how old a tunnel is, at least, when its agent is told that relays of the region it should be in have room; five seconds of it hold for any move but a drain's
	PostQuantum bool          `yaml:"post_quantum"` // whether the listener's key exchange with agents is a hybrid one
	Ping        time.Duration `yaml:"ping"`         // between pings of an idle tunnel
	Hello       time.Duration `yaml:"hello"`        // an agent's time from TLS to the end of its hello
	Window      int           `yaml:"window"`       // bytes a stream may come to send unread
	Windows     int64         `yaml:"windows"`      // bytes by which all streams' windows together may grow beyond their first 256 KiB
	Probe       time.Duration `yaml:"probe"`        // in which each portal is asked once whether it answers; 0: only where that is in doubt
	FirstStatus time.Duration `yaml:"first_status"` // an agent's time from welcome to its first status
}

func Default() Config {
	return Config{Max: 50_000, Rebalance: 60, Settle: time.Minute, PostQuantum: true, Ping: 20 * time.Second, Hello: 10 * time.Second, Window: 2 << 20, Windows: 256 << 20, Probe: 5 * time.Minute, FirstStatus: 10 * time.Second}
}

// Options wires an Uplink. All fields are needed.
type Options struct {
	Config
	Relay  id.Relay
	Region string // of this relay; "": none
	// Admit is the door of tunnels.
	Admit func(pass string, exporter, proof []byte) (token.Pass, error)
	// Revoked says why a device's passes issued until then are void, or nil. It
	// is asked once more when End can find the tunnel.
	Revoked func(device id.Device, issued time.Time) *fault.Error
	// Refresh checks a pass renewed over an admitted tunnel.
	Refresh func(pass string, device id.Device) (token.Pass, error)
	// Announce makes a route known, up or down; Announced is that route, as long as
	// nobody took it back, which Withdraw does.
	Announce  func(bus.Route)
	Announced func(id.Device) (bus.Route, bool)
	Withdraw  func(id.Device)
	// Leaving is told of a device whose tunnel takes no more streams: idle
	// ones that somebody keeps would hold it up.
	Leaving func(id.Device)
	// Elsewhere is where else the device's agent could go, host:port, if its tunnel
	// should be in that region; "": where this relay is.
	Elsewhere func(d id.Device, region string) []string
	// Arrived asks for VisitStarted for the visits to a device that go on, and
	// EndVisit is its staff's wish that one ends.
	Arrived    func(id.Device)
	EndVisit   func(id.Device, id.Visit)
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Uplink holds the tunnels of one relay. Safe for concurrent use.
type Uplink struct {
	o       Options
	tunnels tunnel.Config // of each
	metrics *metrics
	prober  *prober

	links *xsync.Map[id.Device, *link] // the newest tunnel of each device; words guards its changes

	// words keeps what is said of a device in the order in which its tunnels
	// take over from each other.
	words sync.Mutex
	away  atomic.Int64 // links whose away is set

	mu       sync.Mutex // guards what follows
	draining bool
	max      int
	count    int                // tunnels held, and those about to be
	empty    chan struct{}      // made by Drain, closed when count is 0
	held     map[*link]struct{} // those that have begun
	stopped  bool               // by Run: no more shall
}

func New(o Options) *Uplink {
	u := &Uplink{o: o, max: o.Max, links: xsync.NewMap[id.Device, *link](), held: make(map[*link]struct{}), tunnels: tunnel.Config{
		HelloTimeout: o.Hello, Ping: o.Ping, Window: o.Window, Budget: mux.NewBudget(o.Windows),
	}}
	u.metrics = newMetrics(o, func() float64 { return float64(u.Count()) }, u.seconds, func() float64 { return float64(u.away.Load()) }, func() float64 { return float64(u.maxTunnels()) }, func() float64 { return float64(u.tunnels.Budget.Used()) })
	u.prober = newProber(u)
	return u
}

// Run asks portals whether they answer until ctx ends, and then ends all tunnels.
// It does not wait for them.
func (u *Uplink) Run(ctx context.Context) error {
	u.probe(ctx)
	for _, l := range u.stop() {
		l.end(tunnel.ErrStopped)
	}
	return nil
}

// Serve takes one agent's connection, which it owns, through the hello, and
// returns when the tunnel is up or refused. gone is called once, when nothing
// is left of it: nobody sits here and waits for that.
func (u *Uplink) Serve(ctx context.Context, c *tls.Conn, gone func()) {
	l := &link{u: u, remote: c.RemoteAddr().String(), gone: gone}
	entered := false
	var pass token.Pass
	r, err := tunnel.Accept(ctx, c, u.tunnels,
		func(h tunnel.Hello, exporter []byte) (tunnel.Welcome, error) {
			l.agent = h.Agent.Version
			err := u.enter()
			if err == nil {
				entered = true
				pass, err = u.o.Admit(h.Pass, exporter, h.Proof)
			}
			if err == nil && h.Second {
				l.second.Store(true)
				if f := u.besideFirst(pass.Device); f != nil {
					err = f
				}
			}
			return tunnel.Welcome{Relay: u.o.Relay, Tunnel: id.NewTunnel(), Ping: u.o.Ping, Second: h.Second}, err
		})
	if err != nil {
		code := fault.CodeOf(err)
		u.metrics.refused.WithLabelValues(string(code)).Inc()
		u.o.Log.Info("tunnel refused", zap.String("remote", l.remote), zap.String("code", string(code)), zap.Error(err))
		if entered {
			u.leave(l)
		}
		gone()
		return
	}
	l.device, l.site, l.account, l.key = pass.Device, pass.Site, unique.Make(pass.Account).Value(), pass.Key
	l.agent = unique.Make(l.agent).Value() // all have the same, or nearly
	l.relay, l.since = r, time.Now().UTC()
	l.issued.Store(pass.Issued.Unix())
	l.begin(pass.Issued)
}

// take makes l the device's tunnel. The newest wins; an older one is closed
// without being waited for: its socket may be stuck. But a second one does not win over
// the first, which came while that was being admitted.
func (u *Uplink) take(l *link) {
	u.words.Lock()
	if l.second.Load() {
		if err := u.besideFirst(l.device); err != nil {
			u.words.Unlock()
			l.end(err)
			return
		}
	}
	old, loaded := u.links.LoadAndStore(l.device, l) // what was announced stands until l says otherwise, or has ended
	u.words.Unlock()
	if loaded {
		u.supersede(old, "The device opened a newer tunnel.")
	}
}

// besideFirst refuses a second tunnel where the first one is: it would be lost
// with it.
func (u *Uplink) besideFirst(d id.Device) *fault.Error {
	if l, ok := u.links.Load(d); ok && !l.second.Load() {
		return fault.New(fault.TooMany, "The PBX's first tunnel is at this relay; a second one belongs elsewhere.")
	}
	return nil
}

// Superseded is for a device that has a newer tunnel at another relay.
func (u *Uplink) Superseded(d id.Device, at id.Relay) {
	if l, ok := u.links.Load(d); ok {
		u.supersede(l, "The device has a newer tunnel at "+string(at)+".")
	}
}

// supersede closes a tunnel that the device no longer speaks through. One that
// was asked to move, or is taking its leave, ends with its last stream.
func (u *Uplink) supersede(l *link, why string) {
	if l.asked.Load() || l.leaving.Load() || l.wasSent(homeTime) {
		l.leave()
		return
	}
	if !l.second.Load() { // that one gives way to a first by design
		u.metrics.replaced.Inc()
	}
	l.end(fault.New(fault.Replaced, "%s", why))
}

// announce is called by a tunnel's own reader only, so a device's words keep
// their order; but not after a newer tunnel took over.
func (u *Uplink) announce(l *link, r bus.Route) {
	u.words.Lock()
	defer u.words.Unlock()
	r.Fault = l.fault
	if now, ok := u.links.Load(l.device); ok && now == l {
		u.o.Announce(r)
	}
}

// release says why l ended, unless a newer tunnel of the device speaks now.
func (u *Uplink) release(l *link, cause *fault.Error) {
	u.metrics.ended.WithLabelValues(string(cause.Code)).Inc()
	u.metrics.lives.Observe(time.Since(l.since).Seconds())
	l.log("tunnel down", zap.String("code", string(cause.Code)), zap.Error(cause),
		zap.Int64("dur_ms", time.Since(l.since).Milliseconds()))
	u.words.Lock()
	defer u.words.Unlock()
	if now, ok := u.links.Load(l.device); !ok || now != l {
		return
	}
	u.links.Delete(l.device)
	r, ok := u.o.Announced(l.device)
	switch {
	case !ok || r.Down != "": // it was never announced
	case r.Second: // nobody relied on it
		u.o.Withdraw(l.device)
	case cause.Code == fault.Replaced: // by a tunnel at another relay, whose word counts
		u.o.Withdraw(l.device)
	default:
		r.Fault = ""
		r.Down, r.Since = cause.Code, time.Now().UTC()
		u.o.Announce(r)
	}
}

// Dial opens a stream to a device whose tunnel is here; not_connected if it
// is not.
func (u *Uplink) Dial(ctx context.Context, d id.Device, h tunnel.Header) (*tunnel.Stream, error) {
	l, ok := u.links.Load(d)
	if !ok {
		return nil, fault.New(fault.NotConnected, "The PBX is not connected.")
	}
	if l.leaving.Load() {
		return nil, fault.New(fault.NotConnected, "The agent on the PBX is stopping.").After(2 * time.Second)
	}
	return l.relay.Open(ctx, h)
}

// seconds counts the second tunnels. It is asked when metrics are read.
func (u *Uplink) seconds() (n float64) {
	u.links.Range(func(_ id.Device, l *link) bool {
		if l.second.Load() {
			n++
		}
		return true
	})
	return n
}

// newsEvery is between two agents of an account that are told to renew their pass, at
// the least: control signs each, and one of a release before this one does not say
// for how long all of them, at every relay, may take.
const newsEvery = 20 * time.Millisecond

// News has agents renew their pass within that time, since control has something
// else to say with it: that of d, or if that is "" those of an account's devices.
// One that is not here, or cannot be told, learns of it as it always did.
func (u *Uplink) News(a id.Account, d id.Device, within time.Duration) {
	var all []*link
	u.links.Range(func(_ id.Device, l *link) bool {
		if (l.device == d || d == "" && l.account == a) && !l.second.Load() {
			all = append(all, l)
		}
		return true
	})
	within = max(within, time.Second, time.Duration(len(all))*newsEvery)
	for _, l := range all {
		_ = l.relay.Renew(within)
	}
}

// End closes the tunnel of d, if its pass was issued until at.
func (u *Uplink) End(d id.Device, at time.Time, cause *fault.Error) {
	if l, ok := u.links.Load(d); ok && l.issued.Load() <= at.Unix() {
		l.end(cause)
	}
}
