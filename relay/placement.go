package relay

import (
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

// elsewhere is where the agent of d could go from here.
func (r *Relay) elsewhere(d id.Device) []string { return r.choices(d, r.relays.Leases()) }

func (r *Relay) choices(d id.Device, among []bus.Lease) []string {
	return tunnel.Addrs(placement.Order(d, r.o.Region, slices.DeleteFunc(slices.Clone(among), func(l bus.Lease) bool { return l.Relay == r.o.Name })))
}

// rebalance gives tunnels away, slowly, while this relay holds more than its
// share, and forgets relays whose leases have ended.
func (r *Relay) rebalance(ctx context.Context) error {
	// As often as leases, and so loads, are renewed: what was given away is seen
	// before more is.
	tick := time.NewTicker(bus.LeaseEvery)
	defer tick.Stop()
	var b placement.Balance
	var pace placement.Pace
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
		n, to := b.Excess(r.o.Name, leases)
		if len(to) == 0 {
			continue
		}
		if n = pace.Take(n, r.o.Tunnels.Rebalance, bus.LeaseEvery); n == 0 {
			continue
		}
		asked := r.uplink.Move(n, r.o.Drain.Deadline, func(d id.Device) []string { return r.choices(d, to) })
		r.log.Info("more tunnels here than elsewhere: some are asked to move", zap.Int("asked", asked), zap.Int("tunnels", r.uplink.Count()))
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
