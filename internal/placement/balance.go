package placement

import (
	"slices"

	"trunkline/internal/bus"
	"trunkline/internal/id"
)

// A relay begins to give tunnels away when it holds more than overfull times
// what relays of its region hold on average, and stops at even times that. A
// few more than the average are no reason, whatever the share.
const (
	overfull = 1.2
	even     = 1.05
	aFew     = 10
)

// Balance decides, look after look, how many tunnels a relay gives away. It is
// one relay's, and not safe for concurrent use.
type Balance struct{ giving bool }

// Excess is how many tunnels self should give away, and to which relays: those
// of its region that hold less than the average. A relay that drains neither
// gives (its drain does) nor counts.
func (b *Balance) Excess(self id.Relay, leases []bus.Lease) (n int, to []bus.Lease) {
	i := slices.IndexFunc(leases, func(l bus.Lease) bool { return l.Relay == self })
	if i < 0 || leases[i].Draining {
		b.giving = false
		return 0, nil
	}
	own, sum, count := leases[i], 0, 0
	same := func(l bus.Lease) bool { return !l.Draining && l.Region == own.Region }
	for _, l := range leases {
		if same(l) {
			sum += l.Load.Tunnels
			count++
		}
	}
	mean := float64(sum) / float64(count)
	limit := overfull * mean
	if b.giving {
		limit = even * mean
	}
	over := float64(own.Load.Tunnels) - mean
	if b.giving = float64(own.Load.Tunnels) > limit && over > aFew; !b.giving {
		return 0, nil
	}
	for _, l := range leases {
		if same(l) && float64(l.Load.Tunnels) < mean {
			to = append(to, l)
		}
	}
	return int(over), to
}

// Rooms are the relays of each region that take tunnels: those that do not drain
// and are not full.
func Rooms(leases []bus.Lease) map[string][]bus.Lease {
	out := make(map[string][]bus.Lease)
	for _, l := range leases {
		if !l.Draining && (l.Load.TunnelsMax == 0 || l.Load.Tunnels < l.Load.TunnelsMax) {
			out[l.Region] = append(out[l.Region], l)
		}
	}
	return out
}
