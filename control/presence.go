package control

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/id"
)

// ensureBuckets makes the buckets, and again after a NATS server came back
// with an empty memory.
func (c *Control) ensureBuckets(ctx context.Context) error {
	tick := time.NewTicker(ensureEvery)
	defer tick.Stop()
	away := false
	for {
		err := c.o.Bus.EnsureBuckets(ctx)
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

// refill publishes keys and revocations whenever the bucket of keys is new, and
// withdraws the keys there that the database does not have.
func (l *life) refill(ctx context.Context) error {
	epoch := ""
	keys := make(map[string]string) // by the key's id, its name on the bus
	return bus.NewBucket[json.RawMessage](l.c.o.Bus, bus.Keys).Watch(ctx, func(e bus.Event[json.RawMessage]) {
		_, kid, _ := strings.Cut(e.Key, ".")
		switch e.Kind {
		case bus.Reset:
			clear(keys)
		case bus.Put:
			keys[kid] = e.Key
		case bus.Delete:
			delete(keys, kid)
		case bus.Synced:
			l.withdraw(ctx, keys)
			if e.Epoch == epoch {
				return
			}
			epoch = e.Epoch
			if err := l.fleet.Republish(ctx); err != nil { // the fleet goes on trying
				l.c.log.Warn("keys and revocations not published yet", zap.Error(err))
			}
		}
	})
}

func (l *life) withdraw(ctx context.Context, keys map[string]string) {
	gone, err := l.fleet.ForgottenKeys(ctx, slices.Collect(maps.Keys(keys)))
	for _, kid := range gone {
		if err == nil {
			err = bus.NewBucket[json.RawMessage](l.c.o.Bus, bus.Keys).Delete(ctx, keys[kid])
		}
	}
	if err != nil && ctx.Err() == nil {
		l.c.log.Warn("keys that are not in the database are not withdrawn yet", zap.Error(err))
	}
}

func (l *life) watchRoutes(ctx context.Context) error {
	return bus.NewBucket[bus.Route](l.c.o.Bus, bus.Routes).Watch(ctx, func(e bus.Event[bus.Route]) {
		switch e.Kind {
		case bus.Reset:
			l.fleet.ApplyReset(e.Epoch)
		case bus.Synced:
			l.fleet.ApplySynced()
		case bus.Put:
			if e.Key != bus.RouteKey(e.Value.Relay, e.Value.Device) {
				return // the bus confines a relay to its keys; the value must say the same
			}
			l.orphans.Name(e.Value.Relay)
			l.fleet.ApplyRoute(fleet.RouteEvent{Route: e.Value, Epoch: e.Epoch, Rev: e.Rev})
		case bus.Delete:
			if r, d, ok := bus.SplitRouteKey(e.Key); ok {
				l.fleet.ApplyRoute(fleet.RouteEvent{
					Route: bus.Route{Relay: r, Device: d}, Epoch: e.Epoch, Rev: e.Rev, Deleted: true,
				})
			}
		}
	})
}

// hearBus tells the fleet how long ago the bus last took a word of control's and
// the watches had all of theirs. That a connection is up says little: a server may
// hang, and a cluster that has lost too many of its own answers and takes nothing.
// A word that waits for that holds up nothing here: silence has to be known for the
// bus's before it is taken for the relays'.
func (l *life) hearBus(ctx context.Context) error {
	var taken atomic.Pointer[time.Time]
	now := time.Now()
	taken.Store(&now)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.sayAlive(ctx, &taken) })
	g.Go(func() error {
		tick := time.NewTicker(fleet.TickEvery)
		defer tick.Stop()
		for {
			heard := *taken.Load()
			for _, bucket := range []string{bus.Routes, bus.Relays} {
				if at := l.c.o.Bus.Whole(bucket); at.Before(heard) {
					heard = at
				}
			}
			if heard.Before(l.began) {
				heard = l.began
			}
			l.fleet.SetHeard(heard)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	})
	return g.Wait()
}

// sayAlive puts a word on the bus every few seconds, and notes when the last one
// went that it took.
func (l *life) sayAlive(ctx context.Context, taken *atomic.Pointer[time.Time]) error {
	const every = 2 * time.Second
	alive := bus.NewBucket[struct{}](l.c.o.Bus, bus.Alive)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if l.c.o.Bus.Connected() {
			wctx, cancel := context.WithTimeout(ctx, every)
			asked := time.Now()
			if _, err := alive.Put(wctx, "control", struct{}{}); err == nil {
				taken.Store(&asked)
			}
			cancel()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// watchLeases tells the fleet which relays live. A lease that is not renewed
// counts as lost only while the bus is there to bring renewals.
func (l *life) watchLeases(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.expireLeases(ctx) })
	g.Go(func() error {
		return bus.NewBucket[bus.Lease](l.c.o.Bus, bus.Relays).Watch(ctx, func(e bus.Event[bus.Lease]) {
			l.applyLease(e)
			if l.relays.Apply(e, time.Now()) {
				l.fleet.SetLeases(l.relays.Live())
			}
		})
	})
	return g.Wait()
}

// applyLease keeps the list of relays. That a lease has expired comes with the
// lease's own number, that its relay took it back with one of its own.
func (l *life) applyLease(e bus.Event[bus.Lease]) {
	switch e.Kind {
	case bus.Reset: // the numbers may begin anew
		clear(l.leases)
	case bus.Put:
		if e.Key == string(e.Value.Relay) {
			l.leases[e.Key] = e.Rev
			l.fleet.ApplyLease(e.Value)
		}
	case bus.Delete:
		if rev, had := l.leases[e.Key]; had && e.Rev > rev {
			l.fleet.ApplyLeaseEnd(id.Relay(e.Key))
		}
		delete(l.leases, e.Key)
	}
}

func (l *life) expireLeases(ctx context.Context) error {
	tick := time.NewTicker(fleet.TickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			if l.c.o.Bus.Connected() && l.relays.Expire(now) {
				l.fleet.SetLeases(l.relays.Live())
			}
		}
	}
}
