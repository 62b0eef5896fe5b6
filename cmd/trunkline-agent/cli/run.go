package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/agent"
	"trunkline/internal/service"
	"trunkline/internal/service/manager"
)

func runCommand() *cobra.Command {
	var s settings
	var check bool
	c := &cobra.Command{
		Use: "run", Short: "Hold the connection to the provider until stopped", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := s.load(c)
			if err != nil {
				return err
			}
			log, level, err := service.LiveLogger(cfg.Log.Level, cfg.Log.Format)
			if err != nil || check {
				return err
			}
			defer func() { _ = log.Sync() }()
			reload := service.NewReloader(cfg, service.Reloader[agent.Config]{
				Live: []string{"log.level"}, Read: func() (agent.Config, error) { return s.load(c) }, Log: log,
				Apply: func(next agent.Config) error { return level.UnmarshalText([]byte(next.Log.Level)) },
			})
			return hold(c.Context(), cfg, log, reload.Reload)
		},
	}
	s.add(c)
	c.Flags().StringVar(&s.portal, "portal", "", "the PBX's web portal, as http:// or https://host:port (default: what connect was given, or "+agent.DefaultPortal+")")
	c.Flags().StringVar(&s.page, "page", agent.Default().Page.Listen, "address of the Remote Management page, on loopback; off for none")
	c.Flags().StringVar(&s.admin, "admin", agent.Default().Admin, "address for status, health and metrics; off for none")
	c.Flags().BoolVar(&check, "check", false, "validate the configuration and exit")
	return c
}

// hold runs the agent, and the admin listener for a little longer: a stop can
// be watched.
func hold(ctx context.Context, cfg agent.Config, log *zap.Logger, reload func()) error {
	reg := service.Registry()
	a, err := agent.NewService(cfg, log, reg)
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, life := errgroup.WithContext(life)
	if cfg.Admin != agent.AdminOff {
		admin, err := service.NewAdmin(cfg.Admin, service.TextMetrics(reg), service.Profiles(), a.Ready, log.Named("admin"))
		if err != nil {
			a.Close()
			return err
		}
		admin.Handle("GET /status", http.HandlerFunc(a.StatusPage))
		g.Go(func() error { return admin.Run(life) })
	}
	g.Go(func() error {
		return manager.Daemon{Ready: a.Ready, Alive: a.Alive, Reload: reload, Log: log}.Attend(ctx, life)
	})
	g.Go(func() error {
		defer stop()
		// It ends with the service, or with the admin listener.
		actx, cancel := context.WithCancel(life)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return a.Run(actx)
	})
	return g.Wait()
}
