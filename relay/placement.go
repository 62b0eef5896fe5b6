package relay

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/placement"
	"trunkline/internal/tunnel"
)

// elsewhere is where the agent of d could go from here, if it should be in region.
func (r *Relay) elsewhere(d id.Device, region string) []string {
	return r.choices(d, cmp.Or(region, r.o.Region), r.relays.Leases())
}

func (r *Relay) choices(d id.Device, region string, among []bus.Lease) []string {
	return tunnel.Addrs(placement.Order(d, region, slices.DeleteFunc(slices.Clone(among), func(l bus.Lease) bool { return l.Relay == r.o.Name })))
}

// rebalance gives tunnels away, slowly, while this relay holds more than its
// share, sends those home that should be in another region, as slowly, and forgets
// relays whose leases have ended.
func (r *Relay) rebalance(ctx context.Context) error {
	// As often as leases, and so loads, are renewed: what was given away is seen
	// before more is.
	tick := time.NewTicker(bus.LeaseEvery)
	defer tick.Stop()
	var b placement.Balance
	var pace, homePace placement.Pace
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if r.o.Bus.Connected() {
				r.relays.Expire(now)
			}
		}
		leases := r.relays.Leases()
		r.sendHome(leases, &homePace)
		n, to := b.Excess(r.o.Name, leases)
		if len(to) == 0 {
			continue
		}
		if n = pace.Take(n, r.o.Tunnels.Rebalance, bus.LeaseEvery); n == 0 {
			continue
		}
		asked := r.uplink.Move(n, r.o.Drain.Deadline, func(d id.Device) []string { return r.choices(d, r.o.Region, to) })
		r.log.Info("more tunnels here than elsewhere: some are asked to move", zap.Int("asked", asked), zap.Int("tunnels", r.uplink.Count()))
	}
}

// sendHome tells agents that should be in another region, whose relays have room,
// where to go.
func (r *Relay) sendHome(leases []bus.Lease, pace *placement.Pace) {
	n := pace.Take(r.uplink.Away(), r.o.Tunnels.Rebalance, bus.LeaseEvery)
	if n == 0 {
		return
	}
	regions := placement.Rooms(leases)
	told := r.uplink.Home(n, r.o.Drain.Deadline, func(d id.Device, region string, second bool) []string {
		// The first tunnel takes up one of these relays, wherever the second one is.
		if in := regions[region]; len(in) > 1 || len(in) == 1 && !second {
			return r.choices(d, region, in)
		}
		return nil
	})
	if told > 0 {
		r.log.Info("some tunnels should be in another region, which has room: their agents are told", zap.Int("told", told), zap.Int("away", r.uplink.Away()))
	}
}

// usage is what the process has used of the processors.
type usage struct {
	at  time.Time
	cpu time.Duration
}

func newUsage(now time.Time) *usage { return &usage{at: now, cpu: cpuTime()} }

// look is the load since the look before.
func (u *usage) look(r *Relay) bus.Load {
	now, cpu := time.Now(), cpuTime()
	share := float64(cpu-u.cpu) / (float64(now.Sub(u.at)) + 1) / float64(runtime.GOMAXPROCS(0))
	u.at, u.cpu = now, cpu
	return bus.Load{Tunnels: r.uplink.Count(), TunnelsMax: r.o.Tunnels.Max, CPU: min(max(share, 0), 1)}
}
