package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/control/api"
	"trunkline/control/console"
	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/control/orphan"
	"trunkline/control/store"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/placement"
	"trunkline/internal/service"
	"trunkline/internal/tunnel"
)

// life is all that rests on one database. When another one takes its place
// (admin restore) a new life begins; listeners, bus and relays stay.
type life struct {
	c       *Control
	store   *store.Store
	fleet   *fleet.Fleet
	relays  *placement.Relays
	leases  map[string]uint64 // the number of each relay's lease; the watch's alone
	orphans *orphan.Routes
	handler http.Handler
	metrics *prometheus.Registry
	began   time.Time

	ctx      context.Context // ends requests, event streams too
	end      context.CancelFunc
	requests sync.WaitGroup
}

func (c *Control) newLife(ctx context.Context) (*life, error) {
	l := &life{c: c, relays: placement.New(), leases: make(map[string]uint64), metrics: prometheus.NewRegistry(), began: time.Now()}
	l.ctx, l.end = context.WithCancel(context.Background())
	l.orphans = orphan.New(orphan.Options{
		Bus: c.o.Bus, Live: l.relays.Live, Known: func() time.Time { return c.o.Bus.Whole(bus.Relays) }, Log: c.log.Named("orphan"),
	})
	var err error
	if l.store, err = openStore(ctx, c.o); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	err = l.wire()
	if err == nil {
		err = c.firstAdmin(ctx, l.fleet)
	}
	l.metrics.MustRegister(l.store.Metrics())
	if err == nil && c.o.Registerer != nil {
		err = c.o.Registerer.Register(l.metrics)
	}
	if err != nil {
		return nil, errors.Join(err, l.store.Close())
	}
	return l, nil
}

func (l *life) wire() error {
	c, o := l.c, l.c.o
	var err error
	l.fleet, err = fleet.New(fleet.Options{
		Store: l.store, Log: o.Log.Named("fleet"), Registerer: l.metrics,
		License: func() license.License { return *c.lic.Load() }, LicenseKey: c.key,
		Zone: o.Zone, Port: o.sitePort(),
		AllowOtherModels: func() bool { return c.live.Load().OtherModels },
		AuditKeep:        func() time.Duration { return c.live.Load().AuditKeep },
		PutHandover: func(ctx context.Context, hash string, h bus.Handover) error {
			_, err := c.handovers.Create(ctx, hash, h)
			return err
		},
		Revoke: func(ctx context.Context, key string, r bus.Revocation) error {
			_, err := c.revocations.Put(ctx, key, r)
			return err
		},
		PublishKeys: c.publishKeys,
		Traces:      c.traces,
		Announce: func(n bus.DeviceNotice) {
			if err := bus.Tell(o.Bus, bus.SubjectDevices, n); err != nil {
				c.log.Debug("the other control nodes were not told", zap.Error(err))
			}
		},
		Wished: func(n bus.WishNotice) {
			if err := bus.TellRelays(o.Bus, bus.SubjectWishes, n); err != nil {
				c.log.Debug("relays were not told of a wish; agents learn of it when they renew their pass", zap.Error(err))
			}
		},
		Relays: func(d id.Device, region string) []tunnel.Place {
			return placement.Order(d, region, l.relays.Leases())
		},
	})
	if err != nil {
		return err
	}
	pages, err := console.New(console.Options{
		Fleet: l.fleet, Zone: o.Zone, Port: o.sitePort(), Log: o.Log.Named("console"), Version: service.Version, Registerer: l.metrics,
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle("/api/", api.New(api.Options{
		Fleet: l.fleet, SiteURL: c.siteURL, Limits: func() api.Limits { return c.live.Load().Limits }, Log: o.Log.Named("api"), Registerer: l.metrics,
	}))
	l.handler = mux
	return nil
}

// run lives until ctx ends.
func (l *life) run(ctx context.Context) error {
	b := l.c.o.Bus
	stop, err := takeReports(b, l.visitEvent, l.reportsInOwnName)
	if err != nil {
		return err
	}
	defer stop()
	unissue, err := bus.HandleAs(b, bus.SubjectPeerCertificate, func(ctx context.Context, r id.Relay, q bus.PeerRequest) (bus.PeerCertificate, error) {
		der, err := l.fleet.PeerCertificate(ctx, r, q.Request)
		return bus.PeerCertificate{Cert: der}, err
	})
	if err != nil {
		return fmt.Errorf("serve peer certificates: %w", err)
	}
	defer unissue()
	quiet, err := bus.Listen(b, bus.SubjectDevices, l.fleet.Heard)
	if err != nil {
		return fmt.Errorf("hear the other control nodes: %w", err)
	}
	defer func() { _ = quiet() }()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.fleet.Run(ctx) })
	g.Go(func() error { return l.refill(ctx) })
	g.Go(func() error { return l.watchRoutes(ctx) })
	g.Go(func() error { return l.watchLeases(ctx) })
	g.Go(func() error { return l.hearBus(ctx) })
	g.Go(func() error { return l.orphans.Run(ctx) })
	g.Go(func() error { return l.takeChangesIn(ctx) })
	return g.Wait()
}

// changesEvery is how long a device that was added or renamed is one of those that
// searches look at one by one, and one that came or went is counted by itself.
const changesEvery = 30 * time.Second

// takeChangesIn has the database take what changed into its indexes of texts, and
// into its counts.
func (l *life) takeChangesIn(ctx context.Context) error {
	t := time.NewTicker(changesEvery)
	defer t.Stop()
	for {
		if err := errors.Join(l.store.IndexTexts(ctx), l.store.AddUpCounts(ctx)); err != nil && ctx.Err() == nil {
			l.c.log.Warn("will try again", zap.String("what", "index texts and add up counts"), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// lastRequests is how long requests of a life that ends may take.
const lastRequests = 5 * time.Second

// close ends requests and frees the database. Nothing of the life runs any more.
func (l *life) close() error {
	l.end()
	done := make(chan struct{})
	go func() { l.requests.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(lastRequests): // they find the database closed
	}
	if r := l.c.o.Registerer; r != nil {
		r.Unregister(l.metrics)
	}
	return l.store.Close()
}

// lives is which life serves. Between two, requests wait.
type lives struct {
	mu      sync.Mutex
	now     *life         // nil between two
	latest  *life         // the one before, between two
	changed chan struct{} // closed at the next change
}

func (s *lives) begin(l *life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.latest = l, l
	s.tellLocked()
}

// pause lets no more requests in.
func (s *lives) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = nil
	s.tellLocked()
}

func (s *lives) tellLocked() {
	if s.changed != nil {
		close(s.changed)
	}
	s.changed = make(chan struct{})
}

func (s *lives) last() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest
}

// patience is how long a request waits for the next life.
const patience = 20 * time.Second

// enter is for a request, which calls requests.Done at its end; nil if none
// serves in time.
func (s *lives) enter(ctx context.Context) *life {
	var late <-chan time.Time
	for {
		s.mu.Lock()
		l, changed := s.now, s.changed
		if l != nil {
			l.requests.Add(1)
		}
		s.mu.Unlock()
		if l != nil {
			return l
		}
		if late == nil {
			late = time.After(patience)
		}
		select {
		case <-changed:
		case <-late:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// ServeHTTP has the life that serves answer.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l := c.lives.enter(r.Context())
	if l == nil {
		fault.ProblemOf(fault.New(fault.Unavailable, "A backup is being restored. Try again shortly.").After(patience), "").Write(w)
		return
	}
	defer l.requests.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	l.handler.ServeHTTP(w, r.WithContext(ctx))
}

// runLives is Run's: one life after the other.
func (c *Control) runLives(ctx context.Context) error {
	for {
		l := c.lives.last()
		lctx, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- l.run(lctx) }()
		var s swap
		select {
		case err := <-ended:
			stop()
			return err
		case s = <-c.swaps():
		}
		c.lives.pause()
		c.ready.Store(false)
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) { // it writes what it knows of the devices first
			c.log.Warn("what was known of the devices was not all written", zap.Error(err))
		}
		aside, err := c.swap(ctx, l, s)
		s.done <- swapped{aside, err}
		if err != nil && c.lives.last() == l {
			return err
		}
	}
}

// swap puts the new database into the old one's place. If no life can begin
// with it, the old one is put back.
func (c *Control) swap(ctx context.Context, old *life, s swap) (aside string, err error) {
	path := filepath.Join(c.o.Data, store.FileName)
	closed := old.close()
	if closed == nil {
		aside, closed = store.Install(ctx, s.part, path, s.at)
	}
	next, err := c.newLife(ctx)
	if err != nil && closed == nil {
		closed = err
		if err = store.PutBack(aside, path); err == nil {
			aside = ""
			next, err = c.newLife(ctx)
		}
	}
	if err != nil {
		return aside, errors.Join(closed, err)
	}
	c.lives.begin(next)
	if closed == nil {
		c.log.Warn("a backup was restored", zap.String("before", aside))
	}
	return aside, closed
}
