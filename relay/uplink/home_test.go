package uplink_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
	"trunkline/relay/uplink"
)

// wishing is connect for a device that should be in a region.
func (w *world) wishing(region string) (id.Device, *agent) {
	w.t.Helper()
	d := id.NewDevice()
	a := w.connect(d)
	away := w.Away()
	if err := a.SendStatus(tunnel.Status{Region: region}); err != nil {
		w.t.Fatal(err)
	}
	if region != here && region != "" {
		w.eventually("it should be elsewhere", func() bool { return w.Away() == away+1 })
	}
	return d, a
}

const here = "eu" // where the world's relay is

// Of five devices three should be in another region, and only one of these regions has
// room: that agent is told, once, and not while something runs on its tunnel; a drain
// sends the other one by its own wish.
func TestHome(t *testing.T) {
	w := newWorld(t, func(c *uplink.Config) { c.Settle = 0 })
	w.wishing("")
	w.wishing(here)
	us, toUS := w.wishing("us")
	asia, toAsia := w.wishing("asia")
	busy, toBusy := w.wishing("us")
	s, err := w.Dial(w.ctx, busy, tunnel.Header{Service: "portal"})
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	to := func(d id.Device, region string, second bool) []string {
		asked = append(asked, fmt.Sprintf("%s %s %t", d, region, second))
		if region != "us" {
			return nil
		}
		return []string{"relay-us.example.com:8443"}
	}
	if n := w.Home(10, time.Minute, to); n != 1 {
		t.Errorf("%d were told", n)
	}
	select {
	case got := <-toUS.home:
		if got.Deadline != time.Minute || !slices.Equal(got.Relays, []string{"relay-us.example.com:8443"}) {
			t.Errorf("it heard %+v", got)
		}
	case <-time.After(patience):
		t.Fatal("it heard nothing")
	}
	slices.Sort(asked)
	want := []string{string(us) + " us false", string(asia) + " asia false"}
	slices.Sort(want)
	if !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
	if n := w.Home(10, time.Minute, to); n != 0 {
		t.Errorf("told again at once, or while something runs: %d", n)
	}
	s.Reset()
	w.eventually("nothing runs there any more", func() bool { return w.Home(10, time.Minute, to) == 1 })
	<-toBusy.home
	_ = toBusy.Stop(w.ctx)
	w.eventually("it is gone", func() bool { return w.Away() == 2 })
	const metrics = `# HELP trunkline_relay_tunnels_away Of these, those whose account wishes them in another region than this relay's.
# TYPE trunkline_relay_tunnels_away gauge
trunkline_relay_tunnels_away 2
# HELP trunkline_relay_tunnels_sent_home_total Tunnels whose agents were told that relays of the region they should be in have room.
# TYPE trunkline_relay_tunnels_sent_home_total counter
trunkline_relay_tunnels_sent_home_total 2
`
	if err := testutil.GatherAndCompare(w.reg, strings.NewReader(metrics), "trunkline_relay_tunnels_away", "trunkline_relay_tunnels_sent_home_total"); err != nil {
		t.Error(err)
	}

	if err := toUS.SendStatus(tunnel.Status{}); err != nil { // the account wishes for no region any more
		t.Fatal(err)
	}
	w.eventually("it may be here", func() bool { return w.Away() == 1 })
	go w.Drain(w.ctx, 0, nil)
	select {
	case d := <-toAsia.drain:
		if want := []string{string(asia) + ".asia.example.com:8443"}; !slices.Equal(d.Relays, want) {
			t.Errorf("the drain sends it to %v, want %v", d.Relays, want)
		}
	case <-time.After(patience):
		t.Fatal("it was not asked to move")
	}
	_ = toAsia.Stop(w.ctx)
	w.eventually("none is away", func() bool { return w.Away() == 0 })
}

// What runs on a tunnel whose agent has gone home comes to its end, and that is no fight
// of two agents.
func TestGoneHome(t *testing.T) {
	w := newWorld(t, func(c *uplink.Config) { c.Settle = 0 })
	d, a := w.wishing("us")
	if n := w.Home(1, time.Minute, func(id.Device, string, bool) []string { return []string{"relay-us.example.com:8443"} }); n != 1 {
		t.Fatalf("%d were told", n)
	}
	<-a.home
	s, err := w.Dial(w.ctx, d, tunnel.Header{Service: "portal"}) // before the new tunnel is heard of
	if err != nil {
		t.Fatal(err)
	}
	w.Superseded(d, "relay-us")
	if _, err := w.Dial(w.ctx, d, tunnel.Header{Service: "portal"}); fault.CodeOf(err) != fault.NotConnected {
		t.Errorf("a new stream: %v", err)
	}
	if _, err := s.Write([]byte("x")); err != nil { // the agent waits for that, and closes
		t.Error(err)
	}
	if _, err := io.ReadAll(s); err != nil {
		t.Errorf("what ran was cut: %v", err)
	}
	if err := a.Stop(w.ctx); err != nil {
		t.Error(err)
	}
	const metrics = `# HELP trunkline_relay_tunnels_replaced_total Tunnels closed because their device opened a newer one here. A steady rate means two agents with one key.
# TYPE trunkline_relay_tunnels_replaced_total counter
trunkline_relay_tunnels_replaced_total 0
`
	if err := testutil.GatherAndCompare(w.reg, strings.NewReader(metrics), "trunkline_relay_tunnels_replaced_total"); err != nil {
		t.Error(err)
	}
}

// Who has just come is left alone.
func TestHomeWaits(t *testing.T) {
	w := newWorld(t, nil)
	w.wishing("us")
	if n := w.Home(10, time.Minute, func(id.Device, string, bool) []string { return []string{"relay-us.example.com:8443"} }); n != 0 {
		t.Errorf("%d were told", n)
	}
}
