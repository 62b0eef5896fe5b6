package control

import (
	"context"
	"encoding/json"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
)

// ensureBuckets makes the buckets, and again after a NATS server came back
// with an empty memory.
func (c *Control) ensureBuckets(ctx context.Context) error {
	tick := time.NewTicker(ensureEvery)
	defer tick.Stop()
	away := false
	for {
		wctx, cancel := context.WithTimeout(ctx, rpcTime)
		err := c.o.Bus.EnsureBuckets(wctx)
		cancel()
		if gone := err != nil && ctx.Err() == nil; gone != away {
			away = gone
			c.log.Warn("bus", zap.Bool("away", away), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// refill publishes keys and revocations whenever the bucket of keys is new.
func (c *Control) refill(ctx context.Context) error {
	epoch := ""
	return bus.NewBucket[json.RawMessage](c.o.Bus, bus.Keys).Watch(ctx, func(e bus.Event[json.RawMessage]) {
		if e.Kind != bus.Synced || e.Epoch == epoch {
			return
		}
		epoch = e.Epoch
		if err := c.fleet.Republish(ctx); err != nil { // the fleet goes on trying
			c.log.Warn("keys and revocations not published yet", zap.Error(err))
		}
	})
}

func (c *Control) watchRoutes(ctx context.Context) error {
	return bus.NewBucket[bus.Route](c.o.Bus, bus.Routes).Watch(ctx, func(e bus.Event[bus.Route]) {
		switch e.Kind {
		case bus.Reset:
			c.fleet.ApplyReset(e.Epoch)
		case bus.Synced:
			c.fleet.ApplySynced()
		case bus.Put:
			if e.Key != bus.RouteKey(e.Value.Relay, e.Value.Device) {
				return // the bus confines a relay to its keys; the value must say the same
			}
			c.fleet.ApplyRoute(fleet.RouteEvent{Route: e.Value, Epoch: e.Epoch, Rev: e.Rev})
		case bus.Delete:
			if r, d, ok := bus.SplitRouteKey(e.Key); ok {
				c.fleet.ApplyRoute(fleet.RouteEvent{
					Route: bus.Route{Relay: r, Device: d}, Epoch: e.Epoch, Rev: e.Rev, Deleted: true,
				})
			}
		}
	})
}

// watchLeases tells the fleet which relays live. A lease that is not renewed
// counts as lost only while the bus is there to bring renewals.
func (c *Control) watchLeases(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.expireLeases(ctx) })
	g.Go(func() error {
		return bus.NewBucket[bus.Lease](c.o.Bus, bus.Relays).Watch(ctx, func(e bus.Event[bus.Lease]) {
			if c.leases.apply(e, time.Now()) {
				c.fleet.SetLeases(c.leases.live())
			}
		})
	})
	return g.Wait()
}

func (c *Control) expireLeases(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			if c.o.Bus.Connected() && c.leases.expire(now) {
				c.fleet.SetLeases(c.leases.live())
			}
		}
	}
}
