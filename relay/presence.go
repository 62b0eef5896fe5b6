package relay

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/service"
	"trunkline/relay/peer"
)

// watchRoutes keeps the table, and tells a bucket that came back empty what
// this relay holds.
func (r *Relay) watchRoutes(ctx context.Context) error {
	return bus.NewBucket[bus.Route](r.o.Bus, bus.Routes).Watch(ctx, func(e bus.Event[bus.Route]) {
		before, _ := r.table.Device(e.Value.Device)
		if r.table.Apply(e) && r.namesake.isAlone() {
			r.repeat(e.Key)
		}
		r.forgetMoved(before)
		if e.Kind == bus.Synced {
			if r.namesake.isAlone() {
				r.announce.Disown(time.Now())
			}
			r.announce.Refill()
		}
	})
}

// repeat corrects what the bus has under this relay's name.
func (r *Relay) repeat(key string) {
	_, d, ok := bus.SplitRouteKey(key)
	if !ok {
		return
	}
	r.log.Info("a late word of this relay is corrected on the bus", zap.String("device", string(d)))
	r.announce.Repeat(d)
}

// forgetMoved lets go of streams that are kept for the next request of a device,
// if they do not go where it is now.
func (r *Relay) forgetMoved(before bus.Route) {
	if now, ok := r.table.Device(before.Device); ok && now.Tunnel != before.Tunnel {
		r.edge.Forget(before.Device)
	}
}

// announced is a tunnel's word on its device.
func (r *Relay) announced(route bus.Route) {
	before, _ := r.table.Device(route.Device)
	r.announce.Set(route)
	r.forgetMoved(before)
}

// lease says every few seconds that this relay lives, and where, once it is known
// that no other has its name.
func (r *Relay) lease(ctx context.Context) error {
	select {
	case <-r.namesake.alone:
		r.announce.Disown(time.Now())
	case <-ctx.Done():
		return nil
	}
	leases := bus.NewBucket[bus.Lease](r.o.Bus, bus.Relays)
	used := newUsage(time.Now())
	tick := time.NewTicker(bus.LeaseEvery)
	defer tick.Stop()
	away := false
	for {
		wctx, cancel := context.WithTimeout(ctx, bus.LeaseEvery)
		_, err := leases.Put(wctx, string(r.o.Name), bus.Lease{
			Relay: r.o.Name, Addrs: r.Advertised(), Started: r.namesake.started, Draining: r.drains.begun(),
			Peer: r.peerAddr(), PeerVersions: peer.Versions, Region: r.o.Region, OwnName: true, Load: used.look(r), Version: service.Version, Labels: r.o.Labels,
		})
		cancel()
		if err == nil {
			r.metrics.renewed.SetToCurrentTime()
		}
		if gone := err != nil && ctx.Err() == nil; gone != away {
			away = gone
			r.log.Warn("bus", zap.Bool("away", away), zap.Error(err))
		}
		wait := tick.C
		if away { // be known again soon after the bus is back
			wait = time.After(time.Second)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wait:
		case <-r.renewNow:
		}
	}
}

// renew has the lease say at once what has changed.
func (r *Relay) renew() {
	select {
	case r.renewNow <- struct{}{}:
	default:
	}
}

// watchLeases tells who has to know of the other relays.
func (r *Relay) watchLeases(ctx context.Context) error {
	ctx, yield := context.WithCancelCause(ctx)
	defer yield(nil)
	err := bus.NewBucket[bus.Lease](r.o.Bus, bus.Relays).Watch(ctx, func(e bus.Event[bus.Lease]) {
		r.peers.Apply(e)
		r.relays.Apply(e, time.Now())
		if taken := r.namesake.apply(e); taken != nil {
			r.log.Error("relay yields", zap.Error(taken))
			yield(taken)
		}
	})
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// leave takes the lease back: whoever comes next under this name need not wait,
// and nobody is sent here.
func (r *Relay) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	if err := bus.NewBucket[bus.Lease](r.o.Bus, bus.Relays).Delete(ctx, string(r.o.Name)); err != nil {
		r.log.Warn("the bus did not hear of the relay's end; its lease ends by itself", zap.Error(err))
	}
}

const lastWords = 2 * time.Second

// hearWishes has agents told of where their tunnels should be, until ctx ends.
func (r *Relay) hearWishes(ctx context.Context) error {
	stop, err := bus.ListenAsRelay(r.o.Bus, bus.SubjectWishes, func(n bus.WishNotice) {
		r.uplink.News(n.Account, n.Device, time.Duration(n.WithinMS)*time.Millisecond)
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return stop()
}
