// Package control is the control plane: it owns the durable state and makes
// every decision. This file wires its parts and is the map of them:
//
//	agents, staff --HTTPS--> api, console --> fleet (the rules) --> store (SQL)
//	                                           |  ^
//	          keys, handovers, revocations --bus--+-- routes, leases, visit events
//
// What is on the bus can be lost at any time: control puts it there again.
package control

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/control/store"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/peercert"
	"trunkline/internal/service"
	"trunkline/internal/token"
	"trunkline/internal/trace"
)

// Options are what a Config cannot say.
type Options struct {
	Config
	Bus *bus.Bus
	// Certificate serves Listen; if nil, the Config's files do.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Log         *zap.Logger
	Registerer  prometheus.Registerer
}

// Control is one node of the control plane.
type Control struct {
	o      Options
	log    *zap.Logger
	lic    atomic.Pointer[license.License]
	live   atomic.Pointer[Config]
	key    ed25519.PublicKey // verifies licences; nil: none are taken
	web    *web
	desk   *desk         // nil: the database is not ours to replace
	lock   *os.File      // of the data directory; nil with PostgreSQL
	traces *trace.Tracer // nil: off
	ready  atomic.Bool
	ending atomic.Bool // told to stop: it answers what it was asked
	lives  lives

	handovers   *bus.Bucket[bus.Handover]
	revocations *bus.Bucket[bus.Revocation]
	passKeys    *bus.Bucket[token.PassKey]
	sealKeys    *bus.Bucket[token.SealKey]
	peerRoots   *bus.Bucket[peercert.Root]
}

// New opens the database, binds and wires; nothing runs yet.
func New(ctx context.Context, o Options) (*Control, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	lic, key, err := loadLicense(o.Config)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return nil, err
	}
	c := &Control{
		o: o, log: o.Log, key: key,
		handovers:   bus.NewBucket[bus.Handover](o.Bus, bus.Handovers),
		revocations: bus.NewBucket[bus.Revocation](o.Bus, bus.Revocations),
		passKeys:    bus.NewBucket[token.PassKey](o.Bus, bus.Keys),
		sealKeys:    bus.NewBucket[token.SealKey](o.Bus, bus.Keys),
		peerRoots:   bus.NewBucket[peercert.Root](o.Bus, bus.Keys),
	}
	c.lic.Store(&lic)
	c.live.Store(&o.Config)
	if c.traces, err = trace.New(trace.Options{
		Config: o.Traces, Plane: "control", Version: service.Version, Log: c.log.Named("traces"), Registerer: o.Registerer,
	}); err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	// With the bus in the process everybody finds the buckets there; a bus that
	// is away now is seen to by Run.
	if o.Bus.Connected() {
		if err := o.Bus.EnsureBuckets(ctx); err != nil {
			c.log.Warn("buckets not made yet", zap.Error(err))
		}
	}
	return c, nil
}

func (c *Control) open(ctx context.Context) (err error) {
	if c.o.Database == "" {
		if c.lock, err = store.Lock(c.o.Data); err != nil {
			return fmt.Errorf("%s: %w", c.o.Data, err)
		}
	}
	l, err := c.newLife(ctx)
	if err != nil {
		return err
	}
	c.lives.begin(l)
	if c.o.Registerer != nil {
		if err := c.o.Registerer.Register(c.o.Bus.Metrics()); err != nil {
			return err
		}
	}
	if c.web, err = newWeb(c.o, c); err != nil {
		return err
	}
	if c.o.Database == "" {
		c.desk, err = newDesk(c)
	}
	return err
}

func openStore(ctx context.Context, o Options) (*store.Store, error) {
	log := o.Log.Named("store")
	if o.Database != "" {
		return store.OpenPostgres(ctx, o.Database, log)
	}
	return store.OpenSQLite(ctx, filepath.Join(o.Data, store.FileName), log)
}

func (c *Control) siteURL(s id.Site) string {
	return "https://" + string(s) + "." + c.o.Zone + c.o.sitePort() + "/"
}

// loadLicense also gives the key that verifies licences, nil if none is
// configured.
func loadLicense(c Config) (license.License, ed25519.PublicKey, error) {
	if c.LicenseKey == "" {
		return license.Trial(), nil, nil
	}
	key, err := license.ParseKey(c.LicenseKey)
	if err != nil {
		return license.License{}, nil, fmt.Errorf("license_key: %w", err)
	}
	if c.LicenseFile == "" {
		return license.Trial(), key, nil
	}
	b, err := os.ReadFile(c.LicenseFile)
	if err != nil {
		return license.License{}, nil, fmt.Errorf("license_file: %w", err)
	}
	lic, err := license.Verify(key, b)
	if err != nil {
		return license.License{}, nil, fmt.Errorf("license_file %s: %w", c.LicenseFile, err)
	}
	return lic, key, nil
}

func (c *Control) publishKeys(ctx context.Context, p fleet.Published) error {
	for _, k := range p.Pass {
		if _, err := c.passKeys.Put(ctx, "pass."+k.ID, k); err != nil {
			return fmt.Errorf("publish pass key: %w", err)
		}
	}
	for _, k := range p.Seal {
		if _, err := c.sealKeys.Put(ctx, "visit."+k.ID, k); err != nil {
			return fmt.Errorf("publish seal key: %w", err)
		}
	}
	for _, k := range p.Peer {
		if _, err := c.peerRoots.Put(ctx, "peer."+k.ID, k); err != nil {
			return fmt.Errorf("publish peer authority: %w", err)
		}
	}
	c.ready.Store(true)
	return nil
}

// Serve takes over a browser's or an agent's connection that a relay's port
// in this process accepted for the console's host name.
func (c *Control) Serve(conn *tls.Conn) { c.web.hand(conn) }

// Addr is the listener's address, nil if the relay's port serves.
func (c *Control) Addr() net.Addr { return c.web.addr() }

// Fleet is for tests and commands in the same process.
func (c *Control) Fleet() *fleet.Fleet { return c.lives.last().fleet }

// Ready says whether decisions can be made.
func (c *Control) Ready() error {
	if c.ending.Load() {
		return fault.New(fault.Draining, "draining")
	}
	if !c.ready.Load() {
		return fault.New(fault.NotReady, "keys are not on the bus yet")
	}
	return nil
}

// Close frees what New took, of a Control that never ran.
func (c *Control) Close() error {
	c.traces.Close()
	var errs []error
	if c.desk != nil {
		errs = append(errs, c.desk.close())
	}
	if c.web != nil {
		errs = append(errs, c.web.close())
	}
	if l := c.lives.last(); l != nil {
		errs = append(errs, l.store.Close())
	}
	if c.lock != nil {
		errs = append(errs, c.lock.Close())
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends, and then until who has asked for a decision has it:
// what answers requests ends after the last of them.
func (c *Control) Run(ctx context.Context) error {
	if c.lock != nil {
		defer c.lock.Close()
	}
	defer context.AfterFunc(ctx, func() { c.ending.Store(true) })()
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, life := errgroup.WithContext(life)
	g.Go(func() error { return c.runLives(life) })
	g.Go(func() error { return c.ensureBuckets(life) })
	if c.desk != nil {
		g.Go(func() error { return c.desk.run(life) })
	}
	g.Go(func() error {
		defer stop()
		serving, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)() // another part has failed
		return c.web.Run(serving)
	})
	c.log.Info("control up", zap.String("console", c.o.ConsoleHost()))
	err := g.Wait()
	c.traces.Close()
	_ = c.lives.last().store.Close() // what matters is committed
	c.log.Info("control stopped")
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
