package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// shows gives a device's status as "status reason since", since in seconds
// after the start.
func (w *world) shows(d id.Device) string {
	w.Helper()
	if err := w.TickForTest(w.Context()); err != nil {
		w.Fatal(err)
	}
	dev, err := w.Device(w.Context(), w.owner(), d)
	if err != nil {
		w.Fatal(err)
	}
	p := dev.Presence
	return fmt.Sprintf("%s %s %v", p.Status, p.Reason, p.Since.Sub(start).Seconds())
}

func (w *world) owner() (p fleet.Principal) {
	w.Helper()
	w.tx(func(tx fleet.Tx) error {
		u, err := tx.UserByEmail(owner)
		p = fleet.Principal{User: u.ID, Account: u.Account, Email: u.Email, Role: u.Role, Access: fleet.Access{Default: fleet.DefaultRights(u.Role)}}
		return err
	})
	return p
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: shows %q, want %q", what, got, want)
	}
}

// route events in all the orders that they can come in.
func TestPresenceOrder(t *testing.T) {
	w := newWorld(t)
	d := w.activate(newPBX("SN-0001").request()).Device
	at := func(r id.Relay, down fault.Code, since int) bus.Route {
		route := w.route(d, r, down)
		route.Since = start.Add(time.Duration(since) * time.Second)
		return route
	}
	put := func(rev uint64, r bus.Route) { w.ApplyRoute(fleet.RouteEvent{Route: r, Epoch: "e1", Rev: rev}) }
	del := func(rev uint64, r id.Relay) {
		w.ApplyRoute(fleet.RouteEvent{Route: bus.Route{Relay: r, Device: d}, Epoch: "e1", Rev: rev, Deleted: true})
	}
	w.SetLeases(map[id.Relay]bool{"r1": true, "r2": true})
	put(5, at("r1", "", 1))
	want(t, "up", w.shows(d), "connected  1")
	put(4, at("r1", fault.PeerSilent, 0))
	want(t, "an older word", w.shows(d), "connected  1")
	put(6, at("r1", fault.PeerSilent, 3))
	want(t, "down", w.shows(d), "disconnected peer_silent 3")
	put(7, at("r2", "", 4))
	want(t, "up elsewhere", w.shows(d), "connected  4")
	put(8, at("r1", fault.Replaced, 4))
	want(t, "the old relay's clean-up", w.shows(d), "connected  4")
	del(9, "r1")
	want(t, "and its deletion", w.shows(d), "connected  4")
	put(10, at("r2", fault.AgentStopped, 6))
	want(t, "down there", w.shows(d), "disconnected agent_stopped 6")
	del(11, "r2")
	want(t, "a deletion keeps the reason", w.shows(d), "disconnected agent_stopped 6")
	put(12, at("r1", "", 7))
	w.wait(9 * time.Second)
	del(13, "r1")
	want(t, "deleted while up", w.shows(d), "disconnected connection_lost 9")
}

// Routes of a relay that does not come back are taken off the bus: its devices go on
// showing that it was lost, and when.
func TestRoutesOfALostRelayAreTakenDown(t *testing.T) {
	w := newWorld(t)
	d := w.activate(newPBX("SN-0001").request()).Device
	w.SetLeases(map[id.Relay]bool{"r1": true, "r2": true})
	w.connect(d, 1)
	w.wait(10 * time.Second)
	w.SetLeases(map[id.Relay]bool{"r2": true})
	w.wait(fleet.LeaseDoubt + 1)
	want(t, "gone", w.shows(d), "disconnected relay_lost 10")
	w.wait(time.Hour - fleet.LeaseDoubt - 1)
	w.ApplyRoute(fleet.RouteEvent{Route: bus.Route{Relay: "r1", Device: d}, Epoch: "e1", Rev: 2, Deleted: true})
	want(t, "taken down", w.shows(d), "disconnected relay_lost 10")
	w.SetLeases(map[id.Relay]bool{"r1": true, "r2": true})
	want(t, "the relay is back, without the PBX", w.shows(d), "disconnected relay_lost 10")
	w.connect(d, 3)
	want(t, "and with it", w.shows(d), "connected  3610")
}

// What a relay that was cut off had still to say of a tunnel, when the device has
// another, changes nothing.
func TestWordsOfThePast(t *testing.T) {
	w := newWorld(t)
	d := w.activate(newPBX("SN-0001").request()).Device
	at := func(r id.Relay, since int) bus.Route {
		route := w.route(d, r, "")
		route.Tunnel, route.Since = id.NewTunnel(), start.Add(time.Duration(since)*time.Second)
		return route
	}
	rev := uint64(0)
	put := func(r bus.Route) {
		rev++
		w.ApplyRoute(fleet.RouteEvent{Route: r, Epoch: "e1", Rev: rev})
	}
	w.SetLeases(map[id.Relay]bool{"r1": true, "r2": true})
	old := at("r1", 1)
	put(old)
	put(at("r2", 2))
	want(t, "elsewhere", w.shows(d), "connected  2")
	old.Fault = fault.PortalRefused
	put(old)
	want(t, "told of the old one", w.shows(d), "connected  2")
	old.Fault, old.Down, old.Since = "", fault.PeerSilent, start.Add(3*time.Second)
	put(old)
	want(t, "and of its end", w.shows(d), "connected  2")
	put(at("r1", 4))
	want(t, "back at the old relay", w.shows(d), "connected  4")
}

// A relay that dies right after it renewed its lease is known to be lost within 10 s
// (docs/statuses.md), of which a second is left to the bus and the database.
func TestHowSoonARelayIsLost(t *testing.T) {
	if most := bus.LeaseTTL + fleet.LeaseDoubt + 2*fleet.TickEvery; most > 9*time.Second {
		t.Errorf("after %v at most, without the time that the bus and the database take", most)
	}
}

// A relay's lease ends: its devices are lost, but not for a blink of the
// lease bucket, and they are back as they were when the relay is.
func TestRelayLost(t *testing.T) {
	w := newWorld(t)
	d := w.activate(newPBX("SN-0001").request()).Device
	w.SetLeases(map[id.Relay]bool{"r1": true, "r2": true})
	w.connect(d, 1)
	w.wait(10 * time.Second)
	w.SetLeases(map[id.Relay]bool{"r2": true})
	want(t, "blink", w.shows(d), "connected  0")
	w.wait(5 * time.Second)
	w.SetLeases(map[id.Relay]bool{"r1": true, "r2": true})
	w.wait(10 * time.Second)
	want(t, "after the blink", w.shows(d), "connected  0")
	w.SetLeases(map[id.Relay]bool{"r2": true})
	w.wait(fleet.LeaseDoubt + 1)
	want(t, "gone", w.shows(d), "disconnected relay_lost 25")
	w.SetLeases(map[id.Relay]bool{"r1": true, "r2": true})
	want(t, "back", w.shows(d), "connected  0")
	w.SetLeases(nil)
	w.wait(fleet.LeaseDoubt + 1)
	r2 := w.route(d, "r2", "")
	w.SetLeases(map[id.Relay]bool{"r2": true})
	w.ApplyRoute(fleet.RouteEvent{Route: r2, Epoch: "e1", Rev: 2})
	if got := w.shows(d); got[:10] != "connected " {
		t.Errorf("moved: %s", got)
	}
}

// A relay that put routes but never showed a lease.
func TestRelayWithoutLease(t *testing.T) {
	w := newWorld(t)
	d := w.activate(newPBX("SN-0001").request()).Device
	w.connect(d, 1)
	w.wait(bus.LeaseTTL)
	want(t, "its lease may be on its way", w.shows(d), "connected  0")
	w.wait(time.Second)
	want(t, "no lease", w.shows(d), "disconnected relay_lost 7")
}

// Control restarts and the bucket is empty, because it was in the process:
// what was shown goes on to be shown until the relays have had their time.
func TestRestartInventsNothing(t *testing.T) {
	w := newWorld(t)
	up, down, back := w.activate(newPBX("UP-1").request()).Device, w.activate(newPBX("DOWN-1").request()).Device, w.activate(newPBX("BACK-1").request()).Device
	w.connect(up, 1)
	w.connect(back, 2)
	w.ApplyRoute(fleet.RouteEvent{Route: w.route(down, "r1", fault.AgentStopped), Epoch: "e1", Rev: 3})
	if err := w.FlushForTest(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.wait(time.Hour)
	w.restart()
	show := func(when, wantUp, wantDown string) {
		t.Helper()
		want(t, when, w.shows(up), wantUp)
		want(t, when, w.shows(down), wantDown)
		want(t, when, w.shows(back), "connected  0")
	}
	show("at first", "connected  0", "disconnected agent_stopped 0")
	w.ApplyReset("e2")
	w.wait(time.Minute)
	show("while the bus is away", "connected  0", "disconnected agent_stopped 0")
	w.ApplySynced()
	show("the snapshot is empty", "connected  0", "disconnected agent_stopped 0")
	w.wait(fleet.Settle - time.Second)
	w.SetLeases(map[id.Relay]bool{"r1": true})
	route := w.route(back, "r1", "")
	route.Since = start
	w.ApplyRoute(fleet.RouteEvent{Route: route, Epoch: "e2", Rev: 1})
	show("the relay refills", "connected  0", "disconnected agent_stopped 0")
	w.wait(time.Second)
	show("and has left one out", "disconnected relay_lost 3670", "disconnected agent_stopped 0")
	w.ApplyRoute(fleet.RouteEvent{Route: w.route(up, "r1", ""), Epoch: "e2", Rev: 2})
	show("which comes after all", "connected  3670", "disconnected agent_stopped 0")
}

// The watch of the bucket was interrupted. What it says afterwards counts,
// and what it does not say any more is over.
func TestResubscription(t *testing.T) {
	w := newWorld(t)
	kept, gone := w.activate(newPBX("KEPT-1").request()).Device, w.activate(newPBX("GONE-1").request()).Device
	w.SetLeases(map[id.Relay]bool{"r1": true})
	w.connect(kept, 1)
	w.connect(gone, 2)
	again := w.route(kept, "r1", "")
	w.wait(10 * time.Second)
	w.ApplyReset("e1")
	w.ApplyRoute(fleet.RouteEvent{Route: again, Epoch: "e1", Rev: 1})
	w.ApplySynced()
	want(t, "kept", w.shows(kept), "connected  0")
	want(t, "gone", w.shows(gone), "connected  0")
	w.wait(fleet.Settle)
	want(t, "kept", w.shows(kept), "connected  0")
	want(t, "gone", w.shows(gone), "disconnected relay_lost 20")
}

func TestDevicesByStatus(t *testing.T) {
	w := newWorld(t)
	var ids []id.Device
	for i := range 3 {
		ids = append(ids, w.activate(newPBX(id.Serial(fmt.Sprint("SN-000", i))).request()).Device)
	}
	w.connect(ids[0], 1)
	w.ApplyRoute(fleet.RouteEvent{Route: w.route(ids[1], "r1", fault.Draining), Epoch: "e1", Rev: 2})
	for i, s := range []fleet.Status{fleet.StatusConnected, fleet.StatusDisconnected, fleet.StatusNever} {
		p, err := w.Devices(t.Context(), w.owner(), fleet.DeviceQuery{Status: s})
		if err != nil || p.Total != 1 || p.Items[0].ID != ids[i] || p.Items[0].Presence.Status != s {
			t.Errorf("%s: %+v, %v", s, p, err)
		}
	}
	_, err := w.Devices(t.Context(), w.owner(), fleet.DeviceQuery{Status: "x"})
	wantCode(t, err, fault.Invalid)
	_, err = w.Devices(t.Context(), w.owner(), fleet.DeviceQuery{Cursor: "x"})
	wantCode(t, err, fault.Invalid)
}
