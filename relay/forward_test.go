package relay

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/relay/route"
)

// A device that is not where the table says is looked up again, once the table
// says something else.
func TestAStaleRouteIsLookedUpAgain(t *testing.T) {
	notHere := fault.New(fault.NotHere, "Not here.")
	d, site := id.NewDevice(), id.NewSite()
	at := func(r id.Relay, down fault.Code) bus.Route {
		return bus.Route{Relay: r, Device: d, Site: site, Tunnel: id.NewTunnel(), Down: down}
	}
	rev := uint64(0)
	put := func(table *route.Table, r bus.Route) {
		rev++
		table.Apply(bus.Event[bus.Route]{Kind: bus.Put, Key: bus.RouteKey(r.Relay, d), Value: r, Rev: rev, Epoch: "e1"})
	}
	moved := func(what string, err error, next *bus.Route, want bool, first ...bus.Route) {
		t.Helper()
		table := route.NewTable("relay-1", func(id.Device, bus.Route) {}, func(id.Site, id.Device) {})
		table.Apply(bus.Event[bus.Route]{Kind: bus.Reset, Epoch: "e1"})
		old := at("relay-2", "")
		if len(first) > 0 {
			old = first[0]
		}
		put(table, old)
		var arrival sync.WaitGroup
		defer arrival.Wait()
		arrival.Go(func() {
			if next != nil {
				put(table, *next)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if next == nil {
			cancel() // who waits in vain
		}
		if got := (&Relay{table: table}).moved(ctx, old, d, err); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	elsewhere, again, down := at("relay-3", ""), at("relay-2", ""), at("relay-2", fault.AgentStopped)
	moved("it went to another relay", notHere, &elsewhere, true)
	moved("it came back to the same", notHere, &again, true)
	moved("it is away", notHere, &down, false)
	moved("nothing is known", notHere, nil, false)
	stopped := at("relay-2", fault.AgentStopped)
	stopped.Since = time.Now()
	moved("it has just stopped, and is elsewhere", notHere, &elsewhere, true, stopped)
	moved("its portal failed", fault.New(fault.PortalTimeout, "Too slow."), &elsewhere, false)
	moved("it is no fault", errors.New("x"), &elsewhere, false)
}

// A device whose tunnel has just ended, as when its agent moves, may be up elsewhere
// already: whoever comes then is not sent away.
func TestATunnelThatHasJustEndedIsWaitedFor(t *testing.T) {
	d := id.NewDevice()
	for _, c := range []struct {
		down fault.Code
		ago  time.Duration
		sent bool // away
	}{
		{fault.AgentStopped, time.Second, false}, {fault.AgentStopped, time.Minute, true}, {fault.ConnectionLost, time.Second, false},
		{fault.PeerSilent, 7 * time.Minute, true}, {fault.DeviceRemoved, time.Second, true}, {fault.AgentStopped, -time.Hour, true}, {"", time.Hour, false},
	} {
		table := route.NewTable("relay-1", func(id.Device, bus.Route) {}, func(id.Site, id.Device) {})
		r := bus.Route{Relay: "relay-2", Device: d, Site: "site", Tunnel: id.NewTunnel(), Down: c.down, Since: time.Now().Add(-c.ago)}
		table.Apply(bus.Event[bus.Route]{Kind: bus.Put, Key: bus.RouteKey(r.Relay, d), Value: r, Rev: 1, Epoch: "e1"})
		if got, ok := (&Relay{table: table}).route("site", d); !ok || (got.Down != "" && !got.Moving) != c.sent {
			t.Errorf("%q %v ago: %+v, %v", c.down, c.ago, got, ok)
		}
	}
}

// Who waits for a relay stops when the device has another tunnel, and not before.
func TestAWaitForARelayEndsWhenTheDeviceIsElsewhere(t *testing.T) {
	d, rev := id.NewDevice(), uint64(0)
	table := route.NewTable("relay-1", func(id.Device, bus.Route) {}, func(id.Site, id.Device) {})
	table.Apply(bus.Event[bus.Route]{Kind: bus.Reset, Epoch: "e1"})
	put := func(r id.Relay, tunnel id.Tunnel, down fault.Code) {
		rev++
		route := bus.Route{Relay: r, Device: d, Site: "site", Tunnel: tunnel, Down: down}
		table.Apply(bus.Event[bus.Route]{Kind: bus.Put, Key: bus.RouteKey(r, d), Value: route, Rev: rev, Epoch: "e1"})
	}
	old := id.NewTunnel()
	put("relay-2", old, "")
	r := &Relay{table: table}
	there, leave := r.whileThere(t.Context(), d)
	defer leave()
	put("relay-2", old, fault.RelayLost)
	again, leaveAgain := r.whileThere(t.Context(), d) // it is down then
	defer leaveAgain()
	select {
	case <-there.Done():
		t.Error("it ended though there is no other tunnel")
	case <-time.After(5 * lookAgain):
	}
	put("relay-3", id.NewTunnel(), "")
	for what, ctx := range map[string]context.Context{"up before": there, "down before": again} {
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
			t.Errorf("%s: it waits on", what)
		}
	}
	left, leave := r.whileThere(t.Context(), d)
	leave()
	if left.Err() == nil {
		t.Error("it goes on though nobody waits")
	}
}
