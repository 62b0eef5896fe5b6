package route_test

import (
	"slices"
	"testing"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func second(r bus.Route) bus.Route {
	r.Second = true
	return r
}

// A second tunnel is where a device is only once no first one is up; neither
// replaces the other, and a promoted one replaces the first.
func TestSecondTunnel(t *testing.T) {
	w := newWorld(t)
	first := w.route(self, "")
	w.table.SetOwn(first)
	w.put(first)
	spare := w.route(other, "")
	w.put(second(spare))
	w.at(self, "")
	if r, ok := w.table.Second(w.device); !ok || r.Relay != other {
		t.Errorf("the second tunnel is at %q, %v", r.Relay, ok)
	}
	if len(w.replaced) != 0 {
		t.Errorf("a second tunnel replaced the first: %v", w.replaced)
	}
	lost := first
	lost.Down = fault.ConnectionLost
	w.table.SetOwn(lost)
	w.at(other, "")
	first = w.route(self, "")
	w.table.SetOwn(first)
	w.at(self, "")
	w.put(first)
	w.at(self, "")
	w.put(spare) // promoted
	w.at(other, "")
	if !slices.Equal(w.replaced, []id.Relay{other}) {
		t.Errorf("replaced by %v", w.replaced)
	}
	if _, ok := w.table.Second(w.device); ok {
		t.Error("a promoted tunnel is still a second one")
	}
}

// Our own second tunnel does not end when its device's first one is announced.
func TestOwnSecondTunnelStays(t *testing.T) {
	w := newWorld(t)
	own := second(w.route(self, ""))
	w.table.SetOwn(own)
	w.put(own)
	w.put(w.route(other, ""))
	w.at(other, "")
	if len(w.replaced) != 0 {
		t.Errorf("the first tunnel replaced the second: %v", w.replaced)
	}
	own.Second = false
	w.table.SetOwn(own)
	w.at(self, "")
}
