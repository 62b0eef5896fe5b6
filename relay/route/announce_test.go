package route_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/relay/route"
)

// peer is a relay's table and announcer on a bus.
type peer struct {
	*route.Table
	*route.Announcer
	lost []id.Relay // to whom its tunnels were lost
}

func newPeer(t *testing.T, name id.Relay, b *bus.Bus) *peer {
	p := &peer{}
	p.Table = route.NewTable(name, func(_ id.Device, at bus.Route) { p.lost = append(p.lost, at.Relay) }, func(id.Site, id.Device) {})
	p.Announcer = route.NewAnnouncer(b, p.Table, zaptest.NewLogger(t))
	return p
}

// read takes the snapshot of the bus, as a relay does that has its link back.
func (p *peer) read(t *testing.T, b *bus.Bus) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	err := bus.NewBucket[bus.Route](b, bus.Routes).Watch(ctx, func(e bus.Event[bus.Route]) {
		p.Apply(e)
		if e.Kind == bus.Synced {
			p.Refill()
			stop()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *peer) say(t *testing.T) {
	t.Helper()
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func openBus(t *testing.T) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func upAt(r id.Relay, d id.Device) bus.Route {
	return bus.Route{Relay: r, Device: d, Site: id.NewSite(), Account: id.NewAccount(), Tunnel: id.NewTunnel(), Since: time.Now().UTC()}
}

// A device moved while its first relay was cut off from the bus. When that one
// is back, its old word must not end the tunnel that lives.
func TestReturningRelayDoesNotOverruleANewerTunnel(t *testing.T) {
	b := openBus(t)
	first, second := newPeer(t, self, b), newPeer(t, other, b)
	d := id.NewDevice()
	first.Set(upAt(self, d))
	first.say(t)
	second.Set(upAt(other, d))
	second.say(t)
	first.read(t, b)
	if len(first.lost) != 1 {
		t.Errorf("the first relay was told of %v", first.lost)
	}
	first.say(t) // its tunnel, which is stuck, has not ended yet
	second.read(t, b)
	if len(second.lost) != 0 {
		t.Errorf("the tunnel that lives was ended for %v", second.lost)
	}
}

func TestEmptyBucketIsRefilled(t *testing.T) {
	b := openBus(t)
	p := newPeer(t, self, b)
	d := id.NewDevice()
	p.Set(upAt(self, d))
	p.say(t)
	empty := openBus(t)
	p2 := &peer{Table: p.Table, Announcer: p.Announcer}
	p2.read(t, empty)
	if p.Pending() != 1 {
		t.Errorf("%d routes wait to be announced, want the one that is missing", p.Pending())
	}
	p.say(t)
	p2.read(t, b)
	if p.Pending() != 0 {
		t.Errorf("%d routes are announced again that the bus has", p.Pending())
	}
}

// Control takes down what a relay left that was cut off for an hour. It announces all
// of its tunnels again, and nothing else, when it is back.
func TestRoutesThatWereTakenDownAreAnnouncedAgain(t *testing.T) {
	b := openBus(t)
	p, elsewhere := newPeer(t, self, b), newPeer(t, other, b)
	routes := bus.NewBucket[bus.Route](b, bus.Routes)
	taken := []id.Device{id.NewDevice(), id.NewDevice()}
	for _, d := range append([]id.Device{id.NewDevice()}, taken...) {
		p.Set(upAt(self, d))
	}
	p.say(t)
	p.read(t, b)
	for _, d := range taken {
		_, rev, err := routes.Get(t.Context(), bus.RouteKey(self, d))
		if err == nil {
			err = routes.DeleteAt(t.Context(), bus.RouteKey(self, d), rev)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	elsewhere.read(t, b)
	if n := elsewhere.Len(); n != 1 {
		t.Errorf("another relay knows %d routes", n)
	}
	p.read(t, b)
	if p.Pending() != len(taken) {
		t.Errorf("%d routes wait to be announced, want the %d that were taken down", p.Pending(), len(taken))
	}
	p.say(t)
	elsewhere.read(t, b)
	for _, d := range taken {
		if r, ok := elsewhere.Device(d); !ok || r.Relay != self || r.Down != "" {
			t.Errorf("another relay knows %+v, %v", r, ok)
		}
	}
}

// A word that was long under way arrives after those that followed it: what the
// bus has under a relay's name is its last word all the same.
func TestALateWordIsCorrected(t *testing.T) {
	up := upAt(self, id.NewDevice())
	faulty, down := up, up
	faulty.Fault, down.Down = fault.PortalRefused, fault.PeerSilent
	none := bus.Route{}
	for name, c := range map[string]struct{ last, late bus.Route }{
		"up after down":      {down, faulty},
		"up after none":      {none, up},
		"another of the two": {up, faulty},
		"none after up":      {up, none},
	} {
		t.Run(name, func(t *testing.T) {
			b := openBus(t)
			routes, key := bus.NewBucket[bus.Route](b, bus.Routes), bus.RouteKey(self, up.Device)
			say := func(r bus.Route) {
				var err error
				if r.Tunnel == "" {
					err = routes.Delete(t.Context(), key)
				} else {
					_, err = routes.Put(t.Context(), key, r)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			p := newPeer(t, self, b)
			p.Set(up)
			if c.last.Tunnel == "" {
				p.Withdraw(up.Device)
			} else {
				p.Set(c.last)
			}
			p.say(t)
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			late, corrected := false, false
			err := routes.Watch(ctx, func(e bus.Event[bus.Route]) {
				if p.Apply(e) {
					corrected = true
					p.Repeat(up.Device)
					p.say(t)
					return
				}
				switch {
				case e.Kind == bus.Synced:
					say(c.late)
					late = true
				case late && corrected:
					stop()
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := routes.Get(t.Context(), key)
			if c.last.Tunnel == "" {
				if err == nil {
					t.Errorf("the bus has %+v, which was withdrawn", got)
				}
			} else if err != nil || got.Down != c.last.Down || got.Fault != c.last.Fault {
				t.Errorf("the bus has %+v (%v), want %+v", got, err, c.last)
			}
			if have, _ := p.Device(up.Device); have.Tunnel != c.last.Tunnel || have.Down != c.last.Down {
				t.Errorf("the table has %+v, want %+v", have, c.last)
			}
		})
	}
}
