package uplink_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// A second tunnel is announced as that until its agent says otherwise, and
// taken back without a word of loss; beside the first one it is refused.
func TestSecondTunnel(t *testing.T) {
	w := newWorld(t, nil)
	d := id.NewDevice()
	v := aVisit("Anna")
	w.visits = []tunnel.Visit{v}
	open := func() *agent {
		t.Helper()
		a, err := w.dialAs(d, tunnel.DialSecond)
		if err != nil {
			t.Fatal(err)
		}
		if !a.Welcome().Second {
			t.Fatal("the welcome does not say that it is a second one")
		}
		if err := a.SendStatus(tunnel.Status{Second: true}); err != nil {
			t.Fatal(err)
		}
		w.eventually("announced as a second one", func() bool { r := w.route(d); return r.Second && r.Tunnel == a.Welcome().Tunnel })
		return a
	}
	a := open()
	w.End(d, w.issued, fault.New(fault.Draining, "gone"))
	a.mustEnd(t)
	w.eventually("taken back", func() bool { return w.route(d).Relay == "" })

	a = open()
	if err := w.holdsASecond(); err != nil {
		t.Error(err)
	}
	w.VisitStarted(d, aVisit("Ben")) // not told: it is not through this tunnel
	if err := a.SendStatus(tunnel.Status{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the first", func() bool { return !w.route(d).Second && w.route(d).Down == "" })
	a.hears(t, string(v.ID)+" Anna") // what goes on is told now

	if _, err := w.dialAs(d, tunnel.DialSecond); fault.CodeOf(err) != fault.TooMany {
		t.Errorf("a second tunnel beside the first: %v", err)
	}
	w.Superseded(d, "relay-2")
	a.mustEnd(t)
}

// holdsASecond is what the metrics say.
func (w *world) holdsASecond() error {
	const want = `# HELP trunkline_relay_second_tunnels Of these, those that are kept idle for when their device's first tunnel, at another relay, is lost.
# TYPE trunkline_relay_second_tunnels gauge
trunkline_relay_second_tunnels 1
`
	return testutil.GatherAndCompare(w.reg, strings.NewReader(want), "trunkline_relay_second_tunnels")
}

// A first tunnel that comes to the relay of the second one ends it, and that
// counts as no fight of two agents.
func TestFirstTunnelWhereTheSecondIs(t *testing.T) {
	w := newWorld(t, nil)
	d := id.NewDevice()
	second, err := w.dialAs(d, tunnel.DialSecond)
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("the second tunnel is held", func() bool { return w.holdsASecond() == nil })
	first, err := w.dial(d)
	if err != nil {
		t.Fatal(err)
	}
	second.mustEnd(t)
	replaced := func(want string) {
		t.Helper()
		text := `# HELP trunkline_relay_tunnels_replaced_total Tunnels closed because their device opened a newer one here. A steady rate means two agents with one key.
# TYPE trunkline_relay_tunnels_replaced_total counter
trunkline_relay_tunnels_replaced_total ` + want + "\n"
		if err := testutil.GatherAndCompare(w.reg, strings.NewReader(text), "trunkline_relay_tunnels_replaced_total"); err != nil {
			t.Error(err)
		}
	}
	replaced("0")
	if _, err := w.dial(d); err != nil {
		t.Fatal(err)
	}
	first.mustEnd(t)
	replaced("1")
}
