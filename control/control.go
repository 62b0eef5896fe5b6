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
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/control/api"
	"trunkline/control/console"
	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/control/store"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/service"
	"trunkline/internal/token"
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
	store  *store.Store
	fleet  *fleet.Fleet
	web    *web
	leases *leases
	ready  atomic.Bool

	handovers   *bus.Bucket[bus.Handover]
	revocations *bus.Bucket[bus.Revocation]
	passKeys    *bus.Bucket[token.PassKey]
	sealKeys    *bus.Bucket[token.SealKey]
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
		o: o, log: o.Log,
		leases:      newLeases(),
		handovers:   bus.NewBucket[bus.Handover](o.Bus, bus.Handovers),
		revocations: bus.NewBucket[bus.Revocation](o.Bus, bus.Revocations),
		passKeys:    bus.NewBucket[token.PassKey](o.Bus, bus.Keys),
		sealKeys:    bus.NewBucket[token.SealKey](o.Bus, bus.Keys),
	}
	if c.store, err = openStore(ctx, o); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := c.wire(lic, key); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := c.firstAdmin(ctx); err != nil {
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

func openStore(ctx context.Context, o Options) (*store.Store, error) {
	log := o.Log.Named("store")
	if o.Database != "" {
		return store.OpenPostgres(ctx, o.Database, log)
	}
	return store.OpenSQLite(ctx, filepath.Join(o.Data, store.FileName), log)
}

func (c *Control) wire(lic license.License, key ed25519.PublicKey) error {
	o := c.o
	var err error
	c.fleet, err = fleet.New(fleet.Options{
		Store: c.store, Log: o.Log.Named("fleet"), Registerer: o.Registerer,
		License: func() license.License { return lic }, LicenseKey: key,
		Zone: o.Zone, Port: o.sitePort(), AllowOtherModels: o.OtherModels, AuditKeep: o.AuditKeep,
		PutHandover: func(ctx context.Context, hash string, h bus.Handover) error {
			_, err := c.handovers.Create(ctx, hash, h)
			return err
		},
		Revoke: func(ctx context.Context, key string, r bus.Revocation) error {
			_, err := c.revocations.Put(ctx, key, r)
			return err
		},
		PublishKeys: c.publishKeys,
		Announce: func(n bus.DeviceNotice) {
			if err := bus.Tell(o.Bus, bus.SubjectDevices, n); err != nil {
				c.log.Debug("the other control nodes were not told", zap.Error(err))
			}
		},
		Relays: c.leases.addrs,
	})
	if err != nil {
		return err
	}
	pages, err := console.New(console.Options{
		Fleet: c.fleet, Zone: o.Zone, Port: o.sitePort(), Log: o.Log.Named("console"), Version: service.Version, Registerer: o.Registerer,
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle("/api/", api.New(api.Options{
		Fleet: c.fleet, SiteURL: c.siteURL, Limits: o.Limits, Log: o.Log.Named("api"), Registerer: o.Registerer,
	}))
	c.web, err = newWeb(o, mux)
	return err
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

func (c *Control) publishKeys(ctx context.Context, pass []token.PassKey, seal []token.SealKey) error {
	for _, k := range pass {
		if _, err := c.passKeys.Put(ctx, "pass."+k.ID, k); err != nil {
			return fmt.Errorf("publish pass key: %w", err)
		}
	}
	for _, k := range seal {
		if _, err := c.sealKeys.Put(ctx, "visit."+k.ID, k); err != nil {
			return fmt.Errorf("publish seal key: %w", err)
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
func (c *Control) Fleet() *fleet.Fleet { return c.fleet }

// Ready says whether decisions can be made.
func (c *Control) Ready() error {
	if !c.ready.Load() {
		return fault.New(fault.NotReady, "keys are not on the bus yet")
	}
	return nil
}

// Close frees what New took, of a Control that never ran.
func (c *Control) Close() error {
	var err error
	if c.web != nil {
		err = c.web.close()
	}
	return errors.Join(err, c.store.Close())
}

// Run serves until ctx ends.
func (c *Control) Run(ctx context.Context) error {
	defer c.store.Close()
	stop, err := bus.Handle(c.o.Bus, bus.SubjectVisitEvent, func(ctx context.Context, e bus.VisitEvent) (struct{}, error) {
		return struct{}{}, c.fleet.VisitEvent(ctx, e)
	})
	if err != nil {
		return errors.Join(fmt.Errorf("serve visit events: %w", err), c.web.close())
	}
	defer stop()
	quiet, err := bus.Listen(c.o.Bus, bus.SubjectDevices, c.fleet.Heard)
	if err != nil {
		return errors.Join(fmt.Errorf("hear the other control nodes: %w", err), c.web.close())
	}
	defer func() { _ = quiet() }()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.fleet.Run(ctx) })
	g.Go(func() error { return c.ensureBuckets(ctx) })
	g.Go(func() error { return c.refill(ctx) })
	g.Go(func() error { return c.watchRoutes(ctx) })
	g.Go(func() error { return c.watchLeases(ctx) })
	g.Go(func() error { return c.web.Run(ctx) })
	c.log.Info("control up", zap.String("console", c.o.ConsoleHost()))
	err = g.Wait()
	c.log.Info("control stopped")
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
