package agent

import (
	"maps"
	"slices"
	"sync"
	"time"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
)

// The words of Remote Management for how the connection stands.
type (
	State  = manage.State
	Status = manage.Status
)

const (
	NotActivated           = manage.NotActivated
	RemoteAccessOff        = manage.RemoteAccessOff
	Connecting             = manage.Connecting
	Connected              = manage.Connected
	Rejected               = manage.Rejected
	OverCapacity           = manage.OverCapacity
	LicenceExpired         = manage.LicenceExpired
	ServerUnreachable      = manage.ServerUnreachable
	DisconnectedByProvider = manage.DisconnectedByProvider
)

// tracker holds the current Status. A tunnel that is up outweighs what goes
// wrong while its successor is sought.
type tracker struct {
	base  func() Status // device, site and what else does not change here
	store func(Status)  // called in order, without mu

	storing sync.Mutex // orders the calls of store; taken before mu
	mu      sync.Mutex
	status  Status
	live    map[*held]bool
}

func newTracker(base func() Status, store func(Status), s State, reason string) *tracker {
	t := &tracker{base: base, store: store, live: make(map[*held]bool)}
	t.status = Status{State: s, Since: time.Now().UTC(), Reason: reason}
	return t
}

// snapshot is the status as it is now.
func (t *tracker) snapshot() Status {
	b := t.base()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.status
	s.Device, s.Site, s.Name, s.Serial, s.Account, s.Server, s.Version = b.Device, b.Site, b.Name, b.Serial, b.Account, b.Server, b.Version
	return s
}

// up: h is a tunnel that serves, though nobody is let in through it unless s is
// Connected.
func (t *tracker) up(h *held, s State) {
	t.change(func() {
		t.live[h] = true
		t.status = served(Status{Since: t.status.Since, State: t.status.State, Relay: h.relay, Tunnel: h.tunnel}, s)
	})
}

// serving: whether the provider lets anybody in through the tunnels.
func (t *tracker) serving(s State) {
	t.change(func() {
		if len(t.live) > 0 {
			t.status = served(t.status, s)
		}
	})
}

// closed is why nobody is let in though the tunnel is up.
var closed = map[State]struct {
	code   fault.Code
	reason string
}{
	OverCapacity:   {fault.OverCapacity, "the provider has no connection left for this PBX, so it stays connected and nobody can visit it; ask the provider"},
	LicenceExpired: {fault.LicenceExpired, "the provider's licence is over, so this PBX stays connected and nobody can visit it; ask the provider to renew it"},
}

// served is s of a PBX whose tunnel is up.
func served(s Status, state State) Status {
	why, none := closed[state]
	if _, was := closed[s.State]; none || was {
		s.Reason = why.reason
	}
	s.State, s.Since, s.Code = state, since(s, state), why.code
	return s
}

// down: h is none any more. It says whether another one serves.
func (t *tracker) down(h *held) (alive bool) {
	t.change(func() {
		delete(t.live, h)
		if alive = len(t.live) > 0; !alive && slices.Contains([]State{Connected, OverCapacity, LicenceExpired}, t.status.State) {
			t.status = Status{State: Connecting, Since: since(t.status, Connecting), Reason: "the connection ended"}
		}
	})
	return alive
}

// rest: nothing is attempted, or nothing yet.
func (t *tracker) rest(state State, code fault.Code, reason string) {
	t.change(func() { t.status = Status{State: state, Since: since(t.status, state), Code: code, Reason: reason} })
}

// trouble: there is no new tunnel, why, what was tried, and how long until the
// next attempt.
func (t *tracker) trouble(v verdict, addr string, wait time.Duration) {
	t.change(func() {
		now := time.Now().UTC()
		tried := t.status.Tried + 1
		if len(t.live) > 0 {
			t.status.Tried, t.status.TriedAt, t.status.NextTry, t.status.Reason = tried, addr, now.Add(wait), "moving to another relay: "+v.reason
			return
		}
		t.status = Status{
			State: v.state, Since: since(t.status, v.state), Code: v.code, Reason: v.reason,
			NextTry: now.Add(wait), Tried: tried, TriedAt: addr,
		}
	})
}

func (t *tracker) change(f func()) {
	t.storing.Lock()
	defer t.storing.Unlock()
	t.mu.Lock()
	before := t.status.State
	f()
	after := t.status.State
	t.mu.Unlock()
	if before != after {
		t.store(t.snapshot())
	}
}

func since(s Status, next State) time.Time {
	if s.State == next {
		return s.Since
	}
	return time.Now().UTC()
}

// tunnels are those that serve.
func (t *tracker) tunnels() []*held {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.live))
}
