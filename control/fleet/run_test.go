package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/peercert"
	"trunkline/internal/token"
)

func TestWatch(t *testing.T) {
	w := newWorld(t)
	w.addUser("other@example.com", fleet.RoleOwner, true)
	ctx, cancel := context.WithCancel(t.Context())
	events, others := w.Watch(ctx, w.owner()), w.Watch(ctx, w.signIn("other@example.com"))
	flush := func() {
		t.Helper()
		if err := w.FlushForTest(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	next := func() fleet.DeviceEvent {
		t.Helper()
		select {
		case e := <-events:
			return e
		default:
			t.Fatal("no event")
			return fleet.DeviceEvent{}
		}
	}
	d := w.activate(newPBX("SN-0001").request()).Device
	flush()
	if e := next(); e.Device.ID != d || e.Device.Presence.Status != fleet.StatusNever {
		t.Errorf("%+v", e)
	}
	for rev := range uint64(20) { // a burst is one event
		w.connect(d, rev+1)
		w.wait(time.Millisecond)
	}
	flush()
	if e := next(); e.Device.Presence.Status != fleet.StatusConnected || e.Device.Serial != "SN-0001" {
		t.Errorf("%+v", e)
	}
	if err := w.RemoveDevice(t.Context(), w.owner(), d, ""); err != nil {
		t.Fatal(err)
	}
	flush()
	if e := next(); !e.Removed || e.Device.ID != d {
		t.Errorf("%+v", e)
	}
	if len(events) != 0 || len(others) != 0 {
		t.Errorf("%d more events, %d for others", len(events), len(others))
	}
	cancel()
	if _, open := <-events; open {
		t.Error("open after its context")
	}
}

// A watcher that does not read is sent away and holds up nobody.
func TestSlowWatcher(t *testing.T) {
	w := newWorld(t)
	d := w.activate(newPBX("SN-0001").request()).Device
	slow := w.Watch(t.Context(), w.owner())
	for rev := range uint64(fleet.WatchBuffer + 2) {
		w.wait(time.Second)
		w.connect(d, rev+1)
		if err := w.FlushForTest(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for range slow {
		n++
	}
	if n != fleet.WatchBuffer {
		t.Errorf("%d events before the end", n)
	}
}

// Run publishes keys, tries on while the bus is down, carries presence and
// writes its last word before it returns.
func TestRun(t *testing.T) {
	w := newWorld(t)
	d := w.activate(newPBX("SN-0001").request()).Device
	p := w.owner()
	w.restart()
	w.emptyBus()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Fleet.Run(ctx) }()
	<-w.published
	events := w.Watch(ctx, p)
	w.connect(d, 1)
	if e := <-events; e.Device.Presence.Status != fleet.StatusConnected {
		t.Errorf("%+v", e)
	}
	w.ApplyRoute(fleet.RouteEvent{Route: w.route(d, "r1", fault.Draining), Epoch: "e1", Rev: 2})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.restart()
	want(t, "after the end", w.shows(d), "disconnected draining 0")
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pass) == 0 || len(w.seal) == 0 {
		t.Error("keys are not on the bus")
	}
}

func TestRunTriesOnWhileTheBusIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, clock: start}
		w.emptyBus()
		w.busDown = fmt.Errorf("no servers")
		w.restartOn(memory{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Fleet.Run(ctx) }()
		time.Sleep(time.Minute)
		w.mu.Lock()
		w.busDown = nil
		w.mu.Unlock()
		time.Sleep(3 * time.Second)
		w.mu.Lock()
		if r := w.revoked["visit.v"]; r.Code != fault.VisitEnded {
			t.Errorf("revocations %v", w.revoked)
		}
		w.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// memory is a store with one revocation. It runs inside a synctest bubble,
// where a database's own waiting would not count as idle.
type memory struct{}

type memoryTx struct{ fleet.Tx } // whatever else is asked of it is nil

func (memory) Tx(_ context.Context, fn func(fleet.Tx) error) error   { return fn(memoryTx{}) }
func (memory) View(_ context.Context, fn func(fleet.Tx) error) error { return fn(memoryTx{}) }

func (memoryTx) FleetCounts() (fleet.FleetCounts, error)             { return fleet.FleetCounts{}, nil }
func (memoryTx) SigningKeys() ([]token.SigningKey, error)            { return nil, nil }
func (memoryTx) SealKeys() ([]token.SealKey, error)                  { return nil, nil }
func (memoryTx) PeerAuthorities() ([]peercert.Authority, error)      { return nil, nil }
func (memoryTx) AddPeerAuthority(peercert.Authority) error           { return nil }
func (memoryTx) AddSigningKey(token.SigningKey) error                { return nil }
func (memoryTx) AddSealKey(token.SealKey) error                      { return nil }
func (memoryTx) DropSessionsBefore(time.Time) (int, error)           { return 0, nil }
func (memoryTx) DropTokensBefore(time.Time) (int, error)             { return 0, nil }
func (memoryTx) DropAnswersBefore(time.Time, int) (int, error)       { return 0, nil }
func (memoryTx) DropRevocationsBefore(time.Time) (int, error)        { return 0, nil }
func (memoryTx) Handovers(time.Time) (map[string]token.Visit, error) { return nil, nil }
func (memoryTx) DropSamplesBefore(time.Time) error                   { return nil }
func (memoryTx) AddSamples(time.Time) error                          { return nil }
func (memoryTx) UnnamedSince(time.Time, int) ([]fleet.Device, error) { return nil, nil }
func (memoryTx) WaitingAccounts() ([]id.Account, error)              { return nil, nil }
func (memoryTx) UnlicensedSites(id.Account, int) ([]fleet.Site, error) {
	return nil, nil
}
func (memoryTx) StandbyDevices() ([]id.Device, error) { return nil, nil }
func (memoryTx) Root() (fleet.Account, error)         { return fleet.Account{}, fleet.ErrNoRow }
func (memoryTx) OverdueVisits(_, _ time.Time, _ int) ([]fleet.Visit, error) {
	return nil, nil
}
func (memoryTx) Revocations() (map[string]bus.Revocation, error) {
	return map[string]bus.Revocation{"visit.v": {Code: fault.VisitEnded}}, nil
}
