package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/cmd/trunkline/up"
	"trunkline/control"
	"trunkline/internal/bus"
	"trunkline/internal/selfca"
	"trunkline/internal/service"
	"trunkline/internal/service/debug"
	"trunkline/internal/service/manager"
	"trunkline/relay"
)

// daemonFlags are every daemon's.
type daemonFlags struct {
	config string
	check  bool
}

func (f *daemonFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "", "configuration file (YAML); without it the defaults hold")
	c.Flags().BoolVar(&f.check, "check", false, "validate the configuration and exit")
}

// load reads the file over the defaults in cfg.
func (f *daemonFlags) load(cfg any) error {
	if f.config == "" {
		return nil
	}
	return service.LoadYAML(f.config, cfg)
}

// judge says what is wrong with a loaded configuration, all of it at once, and
// makes the logger it asks for.
func judge(l service.LogConfig, wrong ...error) (*zap.Logger, zap.AtomicLevel, error) {
	log, level, err := service.LiveLogger(l.Level, l.Format)
	if err := errors.Join(append(wrong, err)...); err != nil {
		return nil, level, &service.UsageError{Err: err}
	}
	return log, level, nil
}

// reloaded puts a configuration in force; log.level last, when nothing else can err.
func reloaded(level zap.AtomicLevel, l service.LogConfig, apply func() error) error {
	if err := l.Validate(); err != nil {
		return err
	}
	if err := apply(); err != nil {
		return err
	}
	return level.UnmarshalText([]byte(l.Level))
}

func upCommand() *cobra.Command {
	var f daemonFlags
	var data, listen string
	d := up.Default()
	c := &cobra.Command{
		Use: "up", Short: "Run a whole installation in one process", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			read := func() (up.Config, error) {
				cfg := up.Default()
				if err := f.load(&cfg); err != nil {
					return cfg, err
				}
				if c.Flags().Changed("data") {
					cfg.Data = data
				}
				if c.Flags().Changed("listen") {
					cfg.Listen = listen
				}
				return cfg, cfg.Validate()
			}
			cfg, wrong := read()
			log, level, err := judge(cfg.Log, wrong)
			if err != nil || f.check {
				return err
			}
			defer func() { _ = log.Sync() }()
			u, err := up.New(c.Context(), cfg, log)
			if err != nil {
				return err
			}
			reload := service.NewReloader(cfg, service.Reloader[up.Config]{
				Live: append(up.LiveKeys(), "log.level"), Read: read, Log: log,
				Apply: func(next up.Config) error { return reloaded(level, next.Log, func() error { return u.Reload(next) }) },
			})
			d := manager.Daemon{Ready: u.Ready, Alive: u.Alive, Reload: reload.Reload, Log: log}
			return u.Run(c.Context(), d.Attend)
		},
	}
	f.add(c)
	c.Flags().StringVar(&data, "data", d.Data, "directory for the database, the self-made CA and the first admin's password")
	c.Flags().StringVar(&listen, "listen", d.Listen, "the public TLS port")
	return c
}

func controlCommand() *cobra.Command {
	var f daemonFlags
	c := &cobra.Command{
		Use: "control", Short: "Run one node of the control plane", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			read := func() (control.Config, error) {
				cfg := control.Default()
				if err := f.load(&cfg); err != nil {
					return cfg, err
				}
				var unreachable error
				if cfg.Listen == "" {
					unreachable = errors.New("listen: missing")
				}
				return cfg, errors.Join(cfg.Validate(), unreachable, someCertificate(cfg.CertFile, cfg.CADir))
			}
			cfg, wrong := read()
			log, level, err := judge(cfg.Log, wrong)
			if err != nil || f.check {
				return err
			}
			defer func() { _ = log.Sync() }()
			cert, err := certificate(cfg.CADir, cfg.Zone)
			if err != nil {
				return err
			}
			return daemon{bus: cfg.Bus, admin: cfg.Admin, log: log}.run(c.Context(), func(ctx context.Context, b *bus.Bus, reg prometheus.Registerer) (plane, func(), error) {
				p, err := control.New(ctx, control.Options{Config: cfg, Bus: b, Certificate: cert, Log: log, Registerer: reg})
				reload := service.NewReloader(cfg, service.Reloader[control.Config]{
					Live: append(control.LiveKeys(), "log.level"), Read: read, Log: log,
					Apply: func(next control.Config) error {
						return reloaded(level, next.Log, func() error { return p.Reload(next) })
					},
				})
				return p, reload.Reload, err
			})
		},
	}
	f.add(c)
	return c
}

func relayCommand() *cobra.Command {
	var f daemonFlags
	c := &cobra.Command{
		Use: "relay", Short: "Run one node of the data plane", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			service.FrugalGC() // memory is what bounds the number of tunnels
			read := func() (relay.Config, error) {
				cfg := relay.Default()
				if err := f.load(&cfg); err != nil {
					return cfg, err
				}
				var alone error
				if cfg.Bus.URL == "" {
					alone = errors.New("bus.url: a relay of its own needs the address of the bus")
				}
				return cfg, errors.Join(cfg.Validate(), alone, someCertificate(cfg.CertFile, cfg.CADir))
			}
			cfg, wrong := read()
			log, level, err := judge(cfg.Log, wrong)
			if err != nil || f.check {
				return err
			}
			defer func() { _ = log.Sync() }()
			cert, err := certificate(cfg.CADir, cfg.Zone)
			if err != nil {
				return err
			}
			return daemon{bus: cfg.Bus, admin: cfg.Admin, log: log}.run(c.Context(), func(_ context.Context, b *bus.Bus, reg prometheus.Registerer) (plane, func(), error) {
				p, err := relay.New(relay.Options{Config: cfg, Bus: b, Certificate: cert, Log: log, Registerer: reg})
				reload := service.NewReloader(cfg, service.Reloader[relay.Config]{
					Live: append(relay.LiveKeys(), "log.level"), Read: read, Log: log,
					Apply: func(next relay.Config) error {
						return reloaded(level, next.Log, func() error { p.Reload(next); return nil })
					},
				})
				return p, reload.Reload, err
			})
		},
	}
	f.add(c)
	c.AddCommand(drainCommand())
	return c
}

// someCertificate: only `up` makes a CA without being told to.
func someCertificate(file, caDir string) error {
	if file == "" && caDir == "" {
		return errors.New("cert_file and key_file, or ca_dir: missing")
	}
	return nil
}

// certificate is nil, so that the configuration's files serve, unless there is
// a self-made CA.
func certificate(dir, zone string) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if dir == "" {
		return nil, nil
	}
	ca, err := selfca.Open(filepath.Clean(dir), zone)
	if err != nil {
		return nil, fmt.Errorf("ca_dir: %w", err)
	}
	return ca.Certificate, nil
}

// plane is what a daemon runs.
type plane interface {
	Run(context.Context) error
	Ready() error
	Alive(context.Context) error
	Close() error
}

type daemon struct {
	bus   bus.Config
	admin string
	log   *zap.Logger
}

// run starts a plane with its bus and its admin listener, which end last.
func (d daemon) run(ctx context.Context, start func(context.Context, *bus.Bus, prometheus.Registerer) (p plane, reload func(), err error)) (err error) {
	b, err := bus.Open(ctx, d.bus, d.log.Named("bus"))
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	reg := service.Registry()
	p, reload, err := start(ctx, b, reg)
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, life := errgroup.WithContext(life)
	if d.admin != "" {
		admin, err := service.NewAdmin(d.admin, debug.Metrics(reg), debug.Profiles(), p.Ready, d.log.Named("admin"))
		if err != nil {
			return errors.Join(err, p.Close())
		}
		if pages, ok := p.(interface{ DrainPage() http.Handler }); ok {
			admin.Handle("/drain", pages.DrainPage())
		}
		g.Go(func() error { return admin.Run(life) })
	}
	g.Go(func() error {
		return manager.Daemon{Ready: p.Ready, Alive: p.Alive, Reload: reload, Log: d.log}.Attend(ctx, life)
	})
	g.Go(func() error {
		defer stop()
		pctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)() // the admin listener failed
		return p.Run(pctx)
	})
	return g.Wait()
}
