package route_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/relay/route"
)

const self, other, third = id.Relay("relay-1"), id.Relay("relay-2"), id.Relay("relay-3")

// world is a table with the events that feed it.
type world struct {
	*testing.T
	table    *route.Table
	device   id.Device
	site     id.Site
	replaced []id.Relay
	rev      uint64
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, device: id.NewDevice(), site: id.NewSite()}
	w.table = route.NewTable(self, func(_ id.Device, at bus.Route) { w.replaced = append(w.replaced, at.Relay) }, func(id.Site, id.Device) {})
	w.table.Apply(bus.Event[bus.Route]{Kind: bus.Reset, Epoch: "e1"})
	w.table.Apply(bus.Event[bus.Route]{Kind: bus.Synced, Epoch: "e1"})
	return w
}

func (w *world) route(r id.Relay, down fault.Code) bus.Route {
	return bus.Route{Relay: r, Device: w.device, Site: w.site, Tunnel: id.NewTunnel(), Down: down, Since: time.Now()}
}

func (w *world) put(r bus.Route) uint64 {
	w.rev++
	w.table.Apply(bus.Event[bus.Route]{Kind: bus.Put, Key: bus.RouteKey(r.Relay, r.Device), Value: r, Rev: w.rev, Epoch: "e1"})
	return w.rev
}

func (w *world) at(want id.Relay, down fault.Code) {
	w.Helper()
	d, okD := w.table.Device(w.device)
	s, okS := w.table.Site(w.site)
	if !okD || !okS || d.Tunnel != s.Tunnel || d.Relay != want || d.Down != down {
		w.Errorf("device at %q (down %q, known %v), site at %q; want %q, down %q", d.Relay, d.Down, okD, s.Relay, want, down)
	}
}

func TestOwnTunnelServesBeforeTheBusKnows(t *testing.T) {
	w := newWorld(t)
	w.table.SetOwn(w.route(self, ""))
	w.at(self, "")
}

func TestNewestTunnelWins(t *testing.T) {
	w := newWorld(t)
	w.put(w.route(other, ""))
	w.put(w.route(third, ""))
	w.at(third, "")
}

// The old relay notices late that its tunnel is gone: its word has the higher
// revision and must not count.
func TestLateEndDoesNotHideTheNewTunnel(t *testing.T) {
	w := newWorld(t)
	w.put(w.route(other, ""))
	w.put(w.route(third, ""))
	w.put(w.route(other, fault.ConnectionLost))
	w.at(third, "")
}

// A bucket that was lost is told anew of tunnels that ended long ago, after what ended
// since: that is no news.
func TestOfEndsTheLatestCounts(t *testing.T) {
	w := newWorld(t)
	long := w.route(self, fault.PeerSilent)
	long.Since = time.Now().Add(-7 * time.Minute)
	w.table.SetOwn(long)
	now := w.route(other, fault.AgentStopped)
	w.put(now)
	w.at(other, fault.AgentStopped)
	w.put(long)
	w.at(other, fault.AgentStopped)
	last := w.route(third, fault.ConnectionLost)
	last.Since = now.Since.Add(time.Nanosecond)
	w.put(last)
	w.at(third, fault.ConnectionLost)
	w.put(now)
	w.at(third, fault.ConnectionLost)
}

func TestWithdrawnRouteIsGone(t *testing.T) {
	w := newWorld(t)
	rev := w.put(w.route(other, fault.AgentStopped))
	w.at(other, fault.AgentStopped)
	w.table.Apply(bus.Event[bus.Route]{Kind: bus.Delete, Key: bus.RouteKey(other, w.device), Rev: rev + 1, Epoch: "e1"})
	if _, ok := w.table.Site(w.site); ok {
		t.Error("the site is still known")
	}
}

func TestOwnTunnelIsReplacedByANewerOneElsewhere(t *testing.T) {
	w := newWorld(t)
	mine := w.route(self, "")
	w.table.SetOwn(mine)
	w.put(mine)
	w.put(w.route(other, ""))
	if len(w.replaced) != 1 || w.replaced[0] != other {
		t.Errorf("told of %v, want the tunnel at %s", w.replaced, other)
	}
	w.at(other, "")
}

// An echo of our own earlier word, delivered late, must not bring it back.
func TestLateEchoOfOwnWord(t *testing.T) {
	w := newWorld(t)
	up := w.route(self, "")
	w.table.SetOwn(up)
	down := up
	down.Down = fault.PeerSilent
	w.table.SetOwn(down)
	w.put(up)
	w.at(self, fault.PeerSilent)
}

// The bus checks who may write a key; the table checks that the value says the
// same.
func TestForeignWordIsIgnored(t *testing.T) {
	w := newWorld(t)
	r := w.route(other, "")
	w.table.Apply(bus.Event[bus.Route]{Kind: bus.Put, Key: bus.RouteKey(third, w.device), Value: r, Rev: 1, Epoch: "e1"})
	if _, ok := w.table.Device(w.device); ok {
		t.Error("a relay spoke for another")
	}
}

// A bucket that came back empty voids nothing at once: the relays refill it.
func TestEmptyBucketKeepsLastKnownRoutes(t *testing.T) {
	w := newWorld(t)
	w.put(w.route(other, ""))
	w.table.Apply(bus.Event[bus.Route]{Kind: bus.Reset, Epoch: "e2"})
	w.table.Apply(bus.Event[bus.Route]{Kind: bus.Synced, Epoch: "e2"})
	w.at(other, "")
}

// A route that was deleted while we did not listen is gone when we do again.
func TestMissedDelete(t *testing.T) {
	w := newWorld(t)
	w.put(w.route(other, ""))
	w.table.Apply(bus.Event[bus.Route]{Kind: bus.Reset, Epoch: "e1"})
	w.table.Apply(bus.Event[bus.Route]{Kind: bus.Synced, Epoch: "e1"})
	if _, ok := w.table.Device(w.device); ok {
		t.Error("the bucket has it no more, the table does")
	}
}

// The portal moved; the echo of what was said before must not move it back.
func TestLateEchoOfAnOlderStatus(t *testing.T) {
	w := newWorld(t)
	first := w.route(self, "")
	first.Portal.Origin = "https://127.0.0.1:8088"
	w.table.SetOwn(first)
	second := first
	second.Portal.Origin = "http://127.0.0.1"
	w.table.SetOwn(second)
	w.put(first)
	if got, _ := w.table.Device(w.device); got.Portal.Origin != second.Portal.Origin {
		t.Errorf("the portal is at %s, want %s", got.Portal.Origin, second.Portal.Origin)
	}
}

// A relay that was cut off says again, when it is back, what it had to say of a
// tunnel before it knew that this one had ended. The device is elsewhere by then.
func TestARepeatedWordIsNoNewerTunnel(t *testing.T) {
	w := newWorld(t)
	old := w.route(other, "")
	w.put(old)
	now := w.route(self, "")
	w.table.SetOwn(now)
	w.put(now)
	old.Fault = fault.PortalRefused
	w.put(old)
	w.at(self, "")
	if len(w.replaced) != 0 {
		t.Errorf("the newer tunnel was ended for one at %v", w.replaced)
	}
	old.Down = fault.PeerSilent
	w.put(old)
	w.at(self, "")
	w.put(w.route(other, ""))
	w.at(other, "")
}

// However many relays have said something, in whatever order they take it back,
// the one whose tunnel came last among those that are left counts.
func TestOfManyWordsTheNewestCounts(t *testing.T) {
	w := newWorld(t)
	const relays = 5
	for range 200 {
		type said struct {
			relay id.Relay
			rev   uint64
		}
		var up []said
		for _, i := range rand.Perm(relays) {
			r := id.Relay(fmt.Sprintf("relay-%d", i+2))
			up = append(up, said{r, w.put(w.route(r, ""))})
		}
		for len(up) > 0 {
			w.at(up[len(up)-1].relay, "")
			i := rand.IntN(len(up))
			w.table.Apply(bus.Event[bus.Route]{Kind: bus.Delete, Key: bus.RouteKey(up[i].relay, w.device), Rev: up[i].rev, Epoch: "e1"})
			up = slices.Delete(up, i, i+1)
		}
		if _, ok := w.table.Site(w.site); ok || w.table.Len() != 0 {
			t.Fatal("all took it back, and it is still there")
		}
	}
}

// What a bucket came back without is forgotten after a while, but not what was
// said again meanwhile, be it in a bucket that is newer still.
func TestOnlyWhatIsNotSaidAgainIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		kept, gone := w.route(other, ""), w.route(other, "")
		gone.Device, gone.Site = id.NewDevice(), id.NewSite()
		w.put(kept)
		w.put(gone)
		for _, epoch := range []string{"e2", "e3"} {
			w.table.Apply(bus.Event[bus.Route]{Kind: bus.Reset, Epoch: epoch})
			if epoch == "e3" {
				w.table.Apply(bus.Event[bus.Route]{Kind: bus.Put, Key: bus.RouteKey(other, kept.Device), Value: kept, Rev: 1, Epoch: epoch})
			}
			w.table.Apply(bus.Event[bus.Route]{Kind: bus.Synced, Epoch: epoch})
		}
		time.Sleep(time.Hour) // of the bubble's clock
		synctest.Wait()
		w.at(other, "")
		if _, ok := w.table.Device(gone.Device); ok {
			t.Error("a route that no bucket has is still believed")
		}
	})
}

// A connection that was cut delivers, when the network is back, what it was given
// before: after the words of the connection that followed it.
func TestAnEndedTunnelDoesNotRise(t *testing.T) {
	w := newWorld(t)
	old := w.route(other, "")
	w.put(old)
	now := w.route(self, "")
	w.table.SetOwn(now)
	w.put(now)
	down := old
	down.Down = fault.PeerSilent
	w.put(down)
	old.Fault = fault.PortalRefused
	w.put(old)
	w.at(self, "")
	if len(w.replaced) != 0 {
		t.Errorf("the newer tunnel was ended for one at %v", w.replaced)
	}
}
