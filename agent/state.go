package agent

import (
	"maps"
	"slices"
	"sync"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// State is how the connection to the provider stands, in the words of the
// PBX's Remote Management page.
type State string

const (
	Connecting             State = "Connecting"
	Connected              State = "Connected"
	Rejected               State = "Rejected"
	OverCapacity           State = "Over capacity"
	LicenceExpired         State = "Licence expired"
	ServerUnreachable      State = "Server unreachable"
	DisconnectedByProvider State = "Disconnected by provider"
)

// Status is a State with its circumstances: the admin listener's /status.
type Status struct {
	State   State      `json:"state"`
	Code    fault.Code `json:"code,omitempty"`   // of the reason, if it has one
	Reason  string     `json:"reason,omitempty"` // for a person; "" while all is well
	Since   time.Time  `json:"since"`            // of the state
	Relay   id.Relay   `json:"relay,omitempty"`
	Tunnel  id.Tunnel  `json:"tunnel,omitempty"`
	Device  id.Device  `json:"device"`
	Site    id.Site    `json:"site"`
	Serial  id.Serial  `json:"serial"`
	Account string     `json:"account"`
	Server  string     `json:"server"`
	NextTry time.Time  `json:"next_try,omitzero"`
	Tried   int        `json:"tried"` // attempts since the last connection
	Version string     `json:"version"`
}

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

func newTracker(base func() Status, store func(Status)) *tracker {
	t := &tracker{base: base, store: store, live: make(map[*held]bool)}
	t.status = Status{State: Connecting, Since: time.Now().UTC()}
	return t
}

// snapshot is the status as it is now.
func (t *tracker) snapshot() Status {
	b := t.base()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.status
	s.Device, s.Site, s.Serial, s.Account, s.Server, s.Version = b.Device, b.Site, b.Serial, b.Account, b.Server, b.Version
	return s
}

// up: h is a tunnel that serves.
func (t *tracker) up(h *held) {
	t.change(func() {
		t.live[h] = true
		t.status = Status{State: Connected, Since: since(t.status, Connected), Relay: h.relay, Tunnel: h.tunnel}
	})
}

// down: h is none any more. It says whether another one serves.
func (t *tracker) down(h *held) (alive bool) {
	t.change(func() {
		delete(t.live, h)
		if alive = len(t.live) > 0; !alive && t.status.State == Connected {
			t.status = Status{State: Connecting, Since: since(t.status, Connecting), Reason: "the connection ended"}
		}
	})
	return alive
}

// trouble: there is no new tunnel, why, and how long until the next attempt.
func (t *tracker) trouble(v verdict, wait time.Duration) {
	t.change(func() {
		now := time.Now().UTC()
		tried := t.status.Tried + 1
		if len(t.live) > 0 {
			t.status.Tried, t.status.NextTry, t.status.Reason = tried, now.Add(wait), "moving to another relay: "+v.reason
			return
		}
		t.status = Status{
			State: v.state, Since: since(t.status, v.state), Code: v.code, Reason: v.reason, NextTry: now.Add(wait), Tried: tried,
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
