package fleet

import (
	"math"
	"regexp"
	"slices"
	"sync"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/id"
)

// RelayState is a relay's, as its lease has it.
type RelayState string

const (
	RelayReady    RelayState = "ready"
	RelayDraining RelayState = "draining"
	RelaySilent   RelayState = "silent"  // its lease was not renewed: it died, hangs or is cut off
	RelayStopped  RelayState = "stopped" // it took its lease back: it was ended in order
)

// Relay is a relay as its leases show it.
type Relay struct {
	Name    id.Relay
	Region  string
	Version string
	Labels  map[string]string
	Addrs   []string // where agents dial it
	Load    bus.Load // of the last lease
	Started time.Time
	State   RelayState
	Since   time.Time // of State
	Seen    time.Time // when its last lease came
	Unknown time.Time // since when no lease could come; State is the one of then. Zero: they come
}

// What is kept of relays that live no more, and of relays at all. Their names
// are the operator's, but a list must be bounded by more than trust.
const (
	goneKept  = 24 * time.Hour
	maxRelays = 10_000
	maxAddrs  = 16
)

// silentAfter is how long a lease may be missing: it ends, and is doubted.
const silentAfter = bus.LeaseTTL + leaseDoubt

// roster is the relays that this control node has seen.
type roster struct {
	mu     sync.Mutex
	relays map[id.Relay]*Relay
}

func newRoster() *roster { return &roster{relays: make(map[id.Relay]*Relay)} }

// ApplyLease takes one lease from the bus, at its time.
func (f *Fleet) ApplyLease(l bus.Lease) { f.roster.heard(l, f.clock()) }

// ApplyLeaseEnd says that a relay took its lease back.
func (f *Fleet) ApplyLeaseEnd(r id.Relay) { f.roster.stopped(r, f.clock()) }

func (s *roster) heard(l bus.Lease, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.relays[l.Relay]
	if r == nil {
		if s.dropLocked(now); len(s.relays) >= maxRelays {
			return
		}
		// It was so before this node came to see it.
		r = &Relay{Since: l.Started.UTC()}
		s.relays[l.Relay] = r
	}
	state := RelayReady
	if l.Draining {
		state = RelayDraining
	}
	switch {
	case r.State == "" && state == RelayReady:
	case r.State != state, now.Sub(r.Seen) > silentAfter:
		r.Since = now
	}
	since := r.Since
	*r = relayOf(l)
	r.State, r.Since, r.Seen = state, since, now
}

func (s *roster) stopped(name id.Relay, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.relays[name]; r != nil {
		r.State, r.Since, r.Load = RelayStopped, now, bus.Load{}
	}
}

// dropLocked forgets those that are gone for long.
func (s *roster) dropLocked(now time.Time) {
	for name, r := range s.relays {
		if now.Sub(r.Seen) > goneKept {
			delete(s.relays, name)
		}
	}
}

// list is all of them, as of now. back is since when leases are heard at all:
// a silence that began before it proves nothing.
func (s *roster) list(now, back time.Time) []Relay {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(now)
	out := make([]Relay, 0, len(s.relays))
	for _, r := range s.relays {
		x := *r
		if x.State != RelayStopped && now.Sub(x.Seen) > silentAfter && now.Sub(back) > silentAfter {
			x.State, x.Since = RelaySilent, x.Seen
		}
		out = append(out, x)
	}
	return out
}

var versions = regexp.MustCompile(`^[0-9A-Za-z.+_~-]{1,64}$`)

// relayOf keeps of a lease what is in form: a relay that lies may show itself
// in a wrong light, and break nothing.
func relayOf(l bus.Lease) Relay {
	r := Relay{Name: l.Relay, Started: l.Started.UTC(), Load: l.Load}
	if _, err := regionName(l.Region); err == nil {
		r.Region = l.Region
	}
	if versions.MatchString(l.Version) {
		r.Version = l.Version
	}
	if bus.CheckLabels(l.Labels) == nil {
		r.Labels = l.Labels
	}
	for _, a := range l.Addrs[:min(len(l.Addrs), maxAddrs)] {
		if len(a) <= 300 && printable(a) {
			r.Addrs = append(r.Addrs, a)
		}
	}
	r.Load.Tunnels, r.Load.TunnelsMax = max(0, l.Load.Tunnels), max(0, l.Load.TunnelsMax)
	if r.Load.CPU = min(max(0, l.Load.CPU), 1); math.IsNaN(r.Load.CPU) {
		r.Load.CPU = 0
	}
	return r
}

// LabelWords are its labels as k=v, in order.
func (r Relay) LabelWords() []string {
	out := make([]string, 0, len(r.Labels))
	for k, v := range r.Labels {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}
