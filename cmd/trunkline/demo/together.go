package demo

import (
	"context"
	"crypto/tls"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/cmd/trunkline/up"
	"trunkline/relay"
)

// together is control and relay in this process.
type together struct{ *up.Up }

func newTogether(ctx context.Context, d *demo, log *zap.Logger) (*together, error) {
	cfg := up.Default()
	cfg.Data, cfg.Listen = d.o.Data, d.o.Listen
	// Nobody waits minutes for a demo to stop.
	cfg.Relay.Drain = relay.Drain{Deadline: 3 * time.Second}
	if d.beside() {
		cfg.Control.Admin, cfg.Relay.Admin = "127.0.0.1:0", "127.0.0.1:0"
	}
	u, err := up.New(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	return &together{u}, nil
}

func (t *together) run(ctx context.Context, serving func()) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.Run(ctx) })
	g.Go(func() error {
		if waitReady(ctx, func() error {
			if err := t.Control.Ready(); err != nil {
				return err
			}
			return t.Relay.Ready()
		}) {
			serving()
		}
		return nil
	})
	return g.Wait()
}

func (t *together) consoleURL() string { return t.ConsoleURL() }
func (t *together) caFile() string     { return t.CA().File() }
func (t *together) tls() *tls.Config   { return &tls.Config{RootCAs: t.CA().Pool()} }

func (t *together) login() (email, password string, err error) {
	password, err = t.AdminPassword()
	return t.AdminEmail(), password, err
}

// waitReady is false if ctx ended first.
func waitReady(ctx context.Context, ready func() error) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ready() != nil {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
