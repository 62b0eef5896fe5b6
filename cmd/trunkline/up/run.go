package up

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/control"
	"trunkline/internal/selfca"
	"trunkline/internal/service"
	"trunkline/internal/service/debug"
)

func (u *Up) admin(addr string, reg *prometheus.Registry, ready func() error) error {
	if addr == "" {
		return nil
	}
	a, err := service.NewAdmin(addr, debug.Metrics(reg), debug.Profiles(), ready, u.log.Named("admin"))
	if err != nil {
		return err
	}
	u.admins = append(u.admins, a)
	return nil
}

// close frees what New took, as far as it came.
func (u *Up) close() error {
	var errs []error
	if u.Control != nil {
		errs = append(errs, u.Control.Close())
	}
	if u.Relay != nil {
		errs = append(errs, u.Relay.Close())
	}
	for _, a := range u.admins {
		errs = append(errs, a.Close())
	}
	if u.bus != nil {
		errs = append(errs, u.bus.Close())
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends. The relay drains first: while it does, control
// still answers the agents that move and the visitors that are not done. What
// is beside runs until that is over: it gets ctx, and a context for its end.
func (u *Up) Run(ctx context.Context, beside ...func(ctx, life context.Context) error) error {
	defer u.bus.Close()
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, life := errgroup.WithContext(life)
	for _, a := range u.admins {
		g.Go(func() error { return a.Run(life) })
	}
	for _, b := range beside {
		g.Go(func() error { return b(ctx, life) })
	}
	g.Go(func() error { return u.Control.Run(life) })
	rctx, rstop := context.WithCancel(life)
	defer rstop()
	context.AfterFunc(ctx, rstop)
	g.Go(func() error {
		defer stop()
		return u.Relay.Run(rctx)
	})
	u.log.Info("up", zap.String("console", u.ConsoleURL()), zap.String("data", u.cfg.Data))
	return g.Wait()
}

// ConsoleURL is where staff sign in.
func (u *Up) ConsoleURL() string { return u.cfg.Relay.Console }

// SiteURL is a site's origin and a slash.
func (u *Up) SiteURL(site string) string {
	return "https://" + site + "." + u.cfg.Zone + u.Relay.SitePort() + "/"
}

// BusAddr is where other relays dial the bus, "" if they cannot.
func (u *Up) BusAddr() string { return u.bus.Addr() }

// CA is the self-made CA, nil with certificates of the operator's own.
func (u *Up) CA() *selfca.CA { return u.ca }

// AdminEmail is the first owner's.
func (u *Up) AdminEmail() string { return u.cfg.Control.FirstAdmin }

// AdminPassword is the first owner's initial password.
func (u *Up) AdminPassword() (string, error) {
	b, err := os.ReadFile(filepath.Join(u.cfg.Data, control.PasswordFile))
	if err != nil {
		return "", fmt.Errorf("first admin's password: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// AdminAddrs are the admin listeners' addresses: control's, then the relay's.
func (u *Up) AdminAddrs() []net.Addr {
	var out []net.Addr
	for _, a := range u.admins {
		out = append(out, a.Addr())
	}
	return out
}
