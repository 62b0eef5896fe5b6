package fleet_test

import (
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// unknown is since when nothing is known of d, in seconds after the start; -1: it is.
func (w *world) unknown(d id.Device) float64 {
	w.Helper()
	dev := ok(w.Device(w.Context(), w.owner(), d))(w.T)
	if dev.Presence.Unknown.IsZero() {
		return -1
	}
	return dev.Presence.Unknown.Sub(start).Seconds()
}

// When control hears nothing of the bus, what it was told last is shown as that,
// nothing is taken for lost, and who watches is told to look again.
func TestStatusesWithoutTheBus(t *testing.T) {
	w := newWorld(t)
	stays, goes := w.activate(newPBX("SN-0001").request()).Device, w.activate(newPBX("SN-0002").request()).Device
	added, _, err := w.AddDevice(t.Context(), w.owner(), fleet.NewDevice{Name: "Added", CodeLife: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	lease := func() {
		w.ApplyLease(bus.Lease{Relay: "r1"})
		w.SetLeases(map[id.Relay]bool{"r1": true})
	}
	read := func(epoch string, rev uint64, ds ...id.Device) {
		w.ApplyReset(epoch)
		for _, d := range ds {
			w.ApplyRoute(fleet.RouteEvent{Route: w.route(d, "r1", ""), Epoch: epoch, Rev: rev})
		}
		w.ApplySynced()
	}
	expect := func(what string, shows string, unknown ...float64) {
		t.Helper()
		for i, d := range []id.Device{stays, goes, added.ID} {
			if i < 2 {
				want(t, what, w.shows(d), shows)
			}
			if got := w.unknown(d); got != unknown[i] {
				t.Errorf("%s: device %d is unknown since %v, want %v", what, i, got, unknown[i])
			}
		}
	}
	w.SetHeard(w.now())
	lease()
	read("e1", 1, stays, goes)
	w.wait(11 * time.Second)
	lease()
	w.SetHeard(w.now())
	expect("the bus is there", "connected  0", -1, -1, -1)

	last := w.now()
	watch := w.Watch(t.Context(), w.owner())
	w.wait(5 * time.Second)
	w.SetHeard(last)
	expect("a moment without it", "connected  0", -1, -1, -1)
	w.SetLeases(nil) // they have ended: nobody could renew them
	w.wait(2 * time.Second)
	w.SetHeard(last)
	expect("the bus is away", "connected  0", 11, 11, -1)
	select {
	case _, open := <-watch:
		if open {
			t.Error("the watch tells of a change that nobody knows of")
		}
	default:
		t.Error("who watches is left with what was")
	}
	w.wait(10 * time.Minute)
	w.SetHeard(last)
	expect("the bus is away for long", "connected  0", 11, 11, -1)
	if o := ok(w.Overview(t.Context(), w.owner()))(t); o.Devices[fleet.StatusConnected] != 2 || o.Unknown.Sub(start) != 11*time.Second {
		t.Errorf("the overview says %v, unknown since %v", o.Devices, o.Unknown)
	}
	if r := ok(w.Relays(t.Context(), w.owner(), fleet.RelayQuery{Limit: 1}))(t).Items[0]; r.State != fleet.RelayReady || r.Unknown.IsZero() {
		t.Errorf("the relay is %s, unknown since %v", r.State, r.Unknown)
	}

	// It comes back empty, and the relay names one device again.
	read("e2", 1, stays)
	w.SetHeard(w.now())
	if r := ok(w.Relays(t.Context(), w.owner(), fleet.RelayQuery{Limit: 1}))(t).Items[0]; r.State != fleet.RelayReady || !r.Unknown.IsZero() {
		t.Errorf("the relay, which had no time to speak, is %s, unknown since %v", r.State, r.Unknown)
	}
	lease()
	want(t, "the bus is back", w.shows(stays), "connected  618")
	if w.unknown(stays) != -1 || w.unknown(goes) != 11 {
		t.Errorf("the bus is back, and unknown are %v, %v", w.unknown(stays), w.unknown(goes))
	}
	w.wait(11 * time.Second)
	lease()
	w.SetHeard(w.now())
	want(t, "the one that was named", w.shows(stays), "connected  618")
	want(t, "the one that was not", w.shows(goes), "disconnected "+string(fault.RelayLost)+" 629")
	if w.unknown(goes) != -1 {
		t.Error("what is lost for certain is shown as unknown")
	}
}
