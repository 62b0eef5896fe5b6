package placement_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/placement"
	"trunkline/internal/tunnel"
)

func lease(name id.Relay, region string, l bus.Load) bus.Lease {
	return bus.Lease{Relay: name, Addrs: []string{string(name) + ":8443"}, Region: region, Load: l}
}

// first counts the devices that each relay is the first choice of.
func first(leases []bus.Lease, devices []id.Device) map[string]int {
	n := make(map[string]int)
	for _, d := range devices {
		n[tunnel.Addrs(placement.Order(d, "", leases))[0]]++
	}
	return n
}

func devices(n int) (out []id.Device) {
	for i := range n {
		out = append(out, id.Device(fmt.Sprintf("dev_%016d", i)))
	}
	return out
}

func TestOrderSpreads(t *testing.T) {
	all := devices(9000)
	leases := []bus.Lease{lease("a", "", bus.Load{}), lease("b", "", bus.Load{}), lease("c", "", bus.Load{})}
	for relay, n := range first(leases, all) {
		if n < 2800 || n > 3200 { // 3000, and 45 of deviation
			t.Errorf("%s is the first choice of %d of 9000", relay, n)
		}
	}
	// One that is three quarters full gets a ninth: 0.25 of 0.25 + 1 + 1.
	leases[0].Load = bus.Load{Tunnels: 750, TunnelsMax: 1000}
	if n := first(leases, all)["a:8443"]; n < 850 || n > 1150 {
		t.Errorf("the fuller one is the first choice of %d of 9000", n)
	}
	leases[0].Load = bus.Load{CPU: 2}
	if n := first(leases, all)["a:8443"]; n < 100 || n > 600 {
		t.Errorf("an overloaded one is the first choice of %d of 9000", n)
	}
}

// When a relay goes only its own devices have another first choice, and they
// spread over the others; a little more load changes nothing.
func TestOrderIsStable(t *testing.T) {
	all := devices(3000)
	leases := []bus.Lease{lease("a", "", bus.Load{}), lease("b", "", bus.Load{}), lease("c", "", bus.Load{})}
	heirs := make(map[string]int)
	for _, d := range all {
		before := tunnel.Addrs(placement.Order(d, "", leases))
		leases[1].Load = bus.Load{Tunnels: 10, TunnelsMax: 1000}
		if now := tunnel.Addrs(placement.Order(d, "", leases)); !slices.Equal(now, before) {
			t.Fatalf("%s: %v, with a hundredth of load at one %v", d, before, now)
		}
		leases[2].Draining = true
		after := tunnel.Addrs(placement.Order(d, "", leases))
		leases[2].Draining, leases[1].Load = false, bus.Load{}
		want := slices.DeleteFunc(slices.Clone(before), func(a string) bool { return a == "c:8443" })
		if !slices.Equal(after, want) {
			t.Fatalf("%s: %v, and without c %v", d, before, after)
		}
		if before[0] == "c:8443" {
			heirs[after[0]]++
		}
	}
	if a, b := heirs["a:8443"], heirs["b:8443"]; a < 400 || b < 400 {
		t.Errorf("of c's devices %d go to a and %d to b", a, b)
	}
}

func TestRegionComesFirst(t *testing.T) {
	full := bus.Load{Tunnels: 99, TunnelsMax: 100}
	leases := []bus.Lease{lease("a", "eu", bus.Load{}), lease("b", "us", full), lease("c", "eu", bus.Load{}), lease("d", "us", bus.Load{})}
	for _, d := range devices(100) {
		got := tunnel.Addrs(placement.Order(d, "us", leases))
		if here := got[:2]; len(got) != 4 || !slices.Contains(here, "b:8443") || !slices.Contains(here, "d:8443") {
			t.Fatalf("%s: %v", d, got)
		}
	}
}

func TestRelays(t *testing.T) {
	now := time.Now()
	r := placement.New()
	put := bus.Event[bus.Lease]{Kind: bus.Put, Key: "a", Value: lease("a", "", bus.Load{})}
	if !r.Apply(put, now) || r.Apply(put, now) {
		t.Error("a relay comes once")
	}
	put.Key = "b"
	if r.Apply(put, now) || len(r.Live()) != 1 {
		t.Error("it speaks for another")
	}
	if r.Expire(now.Add(bus.LeaseTTL)) || !r.Expire(now.Add(bus.LeaseTTL+time.Second)) || len(r.Leases()) != 0 {
		t.Error("its lease ends with its time")
	}
}

// A region has room where a relay of it takes tunnels.
func TestRooms(t *testing.T) {
	leases := []bus.Lease{
		lease("a", "eu", bus.Load{Tunnels: 10, TunnelsMax: 10}), lease("b", "eu", bus.Load{Tunnels: 9, TunnelsMax: 10}),
		lease("c", "us", bus.Load{}), lease("d", "", bus.Load{}), lease("e", "asia", bus.Load{TunnelsMax: 10}),
	}
	leases[2].Draining = true
	rooms := placement.Rooms(leases)
	if len(rooms) != 3 || len(rooms["eu"]) != 1 || rooms["eu"][0].Relay != "b" || len(rooms[""]) != 1 || len(rooms["asia"]) != 1 {
		t.Errorf("%+v", rooms)
	}
}

// A relay begins to give at a fifth above the average of its region, goes on
// until a twentieth, and gives to those below the average only.
func TestBalance(t *testing.T) {
	leases := []bus.Lease{
		lease("a", "eu", bus.Load{Tunnels: 1500}), lease("b", "eu", bus.Load{Tunnels: 600}), lease("c", "eu", bus.Load{Tunnels: 900}),
		lease("far", "us", bus.Load{}), lease("d", "eu", bus.Load{}),
	}
	leases[4].Draining = true
	var b placement.Balance
	for _, x := range []struct{ a, b, n int }{
		{1190, 910, 0}, {1500, 600, 500}, {1100, 1000, 100}, {1040, 1060, 0}, {1100, 1000, 0}, {1300, 800, 300},
	} {
		leases[0].Load.Tunnels, leases[1].Load.Tunnels = x.a, x.b
		n, to := b.Excess("a", leases)
		for _, l := range to {
			if l.Relay != "b" && l.Relay != "c" {
				t.Errorf("at %d it gives to %s", x.a, l.Relay)
			}
		}
		if n != x.n || (n > 0) != (len(to) > 0) {
			t.Errorf("at %d it gives %d to %d relays, want %d", x.a, n, len(to), x.n)
		}
	}
	leases[0].Draining = true
	if n, _ := b.Excess("a", leases); n != 0 {
		t.Error("a relay that drains is not balanced")
	}
	small := []bus.Lease{lease("a", "", bus.Load{Tunnels: 10}), lease("b", "", bus.Load{})}
	if n, _ := b.Excess("a", small); n != 0 {
		t.Error("a handful of tunnels is moved about")
	}
}
