package route_test

import (
	"slices"
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
	"trunkline/relay/route"
)

func TestSiteFollowsTheNewestClaim(t *testing.T) {
	var swaps []id.Device
	table := route.NewTable(self, func(id.Device, bus.Route) {}, func(_ id.Site, serves id.Device) { swaps = append(swaps, serves) })
	site, p, s := id.NewSite(), id.NewDevice(), id.NewDevice()
	now := time.Now()
	say := func(d id.Device, kind, role string, claim uint64, down fault.Code) {
		r := upAt(self, d)
		r.Site, r.Down, r.Since = site, down, now
		if kind != "" {
			r.Standby = &tunnel.Standby{Type: kind, Role: role, Peer: "SN-9999", Claim: claim}
		}
		table.SetOwn(r)
	}
	serves := func(want id.Device, down fault.Code) {
		t.Helper()
		r, ok := table.Site(site)
		if !ok || r.Device != want || r.Down != down {
			t.Errorf("%s serves (%q), want %s (%q)", r.Device, r.Down, want, down)
		}
	}
	say(p, "primary", "active", 1, "")
	say(s, "secondary", "standby", 1, "")
	serves(p, "")
	say(p, "primary", "active", 1, fault.PeerSilent) // the standby does not claim: the site is down
	serves(p, fault.PeerSilent)
	say(s, "secondary", "active", 2, "")
	serves(s, "")
	say(p, "primary", "active", 1, "") // back, with its old claim
	serves(s, "")
	say(p, "primary", "standby", 3, "")
	serves(s, "")
	say(p, "primary", "active", 4, "")
	serves(p, "")
	if r, ok := table.Device(s); !ok || r.Device != s {
		t.Errorf("the other one by its name: %+v", r)
	}
	table.DropOwn(p)
	serves(s, "")
	if want := []id.Device{s, p, s}; !slices.Equal(swaps, want) {
		t.Errorf("told of %v, want %v", swaps, want)
	}
	// The secondary leaves the pair for a site of its own.
	r := upAt(self, s)
	table.SetOwn(r)
	if _, ok := table.Site(site); ok {
		t.Error("a site without devices is served")
	}
	if got, ok := table.Site(r.Site); !ok || got.Device != s {
		t.Errorf("its own site: %+v", got)
	}
}

// A PBX that names another one's serial number joins its site until it is named
// back, and gets none of its visitors meanwhile, whatever it claims.
func TestNobodyTakesAStrangersSite(t *testing.T) {
	table := route.NewTable(self, func(id.Device, bus.Route) {}, func(id.Site, id.Device) {})
	victim, intruder := upAt(self, id.NewDevice()), upAt(self, id.NewDevice())
	intruder.Site = victim.Site
	intruder.Standby = &tunnel.Standby{Type: "primary", Role: "active", Peer: "SN-0001", Claim: tunnel.ClaimMax}
	for _, down := range []fault.Code{"", fault.PeerSilent} {
		victim.Down = down
		for _, rs := range [][]bus.Route{{victim, intruder}, {intruder, victim}} {
			for _, r := range rs {
				table.SetOwn(r)
			}
			if r, ok := table.Site(victim.Site); !ok || r.Device != victim.Device {
				t.Errorf("%q: %s serves, want %s", down, r.Device, victim.Device)
			}
			table.DropOwn(victim.Device)
			table.DropOwn(intruder.Device)
		}
	}
}

func TestLookUpsDoNotAllocate(t *testing.T) {
	table := route.NewTable(self, func(id.Device, bus.Route) {}, func(id.Site, id.Device) {})
	r := upAt(self, id.NewDevice())
	table.SetOwn(r)
	if n := testing.AllocsPerRun(100, func() { table.Site(r.Site); table.Device(r.Device) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
