package uplink_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
	"trunkline/relay/uplink"
)

// A tunnel took over from another and broke before it said anything: the
// other's word must not stand for ever.
func TestSuccessorThatSaysNothing(t *testing.T) {
	w := newWorld(t, func(c *uplink.Config) { c.FirstStatus = 50 * time.Millisecond })
	d := id.NewDevice()
	old := w.connect(d)
	young, err := w.dial(d)
	if err != nil {
		t.Fatal(err)
	}
	old.mustEnd(t)
	young.mustEnd(t)
	w.eventually("the route is down", func() bool { return w.route(d).Down != "" })
}

// The device is removed just when its agent is through the door.
func TestRevocationBetweenDoorAndTunnel(t *testing.T) {
	w := newWorld(t, nil)
	removed := fault.New(fault.DeviceRemoved, "removed")
	w.admitted = func(d id.Device) {
		w.mu.Lock()
		w.revoked = map[id.Device]*fault.Error{d: removed}
		w.mu.Unlock()
		w.End(d, time.Now(), removed) // finds nothing yet
	}
	a, err := w.dial(id.NewDevice())
	if err == nil { // else it has ended already
		a.mustEnd(t)
	}
	w.eventually("counted out", func() bool { return w.Count() == 0 })
}

// A pass of another key is no reason to believe in this tunnel any longer.
func TestPassOfAnotherKey(t *testing.T) {
	w := newWorld(t, nil)
	d := id.NewDevice()
	a := w.connect(d)
	if err := a.SendPass("bound to another key"); err != nil {
		t.Fatal(err)
	}
	// Statuses come after the pass, in order.
	if err := a.SendStatus(tunnel.Status{Logins: tunnel.Logins{Account: true}}); err != nil {
		t.Fatal(err)
	}
	w.eventually("status", func() bool { return w.route(d).Logins.Account })
	w.End(d, time.Now().Add(time.Minute), fault.New(fault.Replaced, "key replaced"))
	a.mustEnd(t)
}

// Agents that keep coming neither hold up the drain nor break it.
func TestDrainAmidComers(t *testing.T) {
	w := newWorld(t, nil)
	busy := id.NewDevice()
	a := w.connect(busy)
	if _, err := w.Dial(w.ctx, busy, tunnel.Header{Service: "portal"}); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		ctx, cancel := context.WithTimeout(w.ctx, 300*time.Millisecond)
		defer cancel()
		w.Drain(ctx, 0, nil)
	}()
	<-a.drain
	stop := make(chan struct{})
	var comers sync.WaitGroup
	for range 8 {
		comers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := w.dial(id.NewDevice()); !errors.Is(err, &fault.Error{Code: fault.Draining}) {
					t.Errorf("while draining: %v", err)
					return
				}
			}
		})
	}
	select {
	case <-drained:
	case <-time.After(30 * time.Second):
		t.Error("the drain does not end")
	}
	close(stop)
	comers.Wait()
}
