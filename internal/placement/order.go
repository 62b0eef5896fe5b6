package placement

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// maxChoices are as many relays as an agent is told of: it asks again if none of
// them answers.
const maxChoices = 16

// Order is where the agent of d can dial, in the order to try: relays
// of region first, if that is not "", then the others; in each part by weighted
// rendezvous hashing. So each device has an order of its own that holds while
// relays come and go, relays get devices in proportion to the room that they
// have, and when one fills up only some devices' orders change. Relays that
// drain are not in it.
//
// (Highest random weight: Thaler and Ravishankar, "Using name-based mappings to
// increase hit rates", 1998. The weights: Schindelhauer and Schomaker, "Weighted
// distributed hash tables", 2005: -w / ln u, with u uniform in (0, 1).)
func Order(d id.Device, region string, leases []bus.Lease) []tunnel.Place {
	type scored struct {
		lease bus.Lease
		near  bool
		score float64
	}
	all := make([]scored, 0, len(leases))
	for _, l := range leases {
		if !l.Draining {
			all = append(all, scored{l, region != "" && l.Region == region, -room(l.Load) / math.Log(uniform(d, l.Relay))})
		}
	}
	slices.SortFunc(all, func(a, b scored) int {
		if a.near != b.near {
			if a.near {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.lease.Relay, b.lease.Relay))
	})
	var out []tunnel.Place
	for _, s := range all[:min(len(all), maxChoices)] {
		for _, a := range s.lease.Addrs {
			out = append(out, tunnel.Place{Relay: s.lease.Relay, Addr: a})
		}
	}
	return out
}

// uniform is in (0, 1), the same at every process for the same device and relay.
func uniform(d id.Device, r id.Relay) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(d)) // never errs
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(r))
	// FNV's high bits hardly depend on the last bytes: the finalizer of
	// splitmix64 (Steele, Lea and Flood, 2014).
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return (float64(x>>11) + 0.5) / (1 << 53)
}

// room is what share of a relay is free, in steps, so that orders do not change
// with every tunnel; never nothing: it is better than no relay.
func room(l bus.Load) float64 {
	const steps = 8
	used := l.CPU
	if l.TunnelsMax > 0 {
		used = max(used, float64(l.Tunnels)/float64(l.TunnelsMax))
	}
	return max(math.Round((1-used)*steps)/steps, 1.0/(2*steps))
}
