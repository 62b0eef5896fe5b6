package agent_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/agent"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// homeWorld has relays whose addresses begin with their names, and those in away do
// not answer.
func homeWorld(t *testing.T, away ...string) *world {
	w := newWorld(t)
	w.dial = func(ctx context.Context, addr, _ string) (agent.LinkForTest, error) {
		switch {
		case addr[:2] == "xx": // it takes the connection, and says nothing
			<-ctx.Done()
			return nil, ctx.Err()
		case slices.Contains(away, addr):
			return nil, errAway
		}
		l := w.link(id.Relay(addr[:2]))
		l.welcome.Second = true
		return l, nil
	}
	return w
}

// The agent goes to the first relay that takes it where it should be, new tunnel
// first, and seeks it there when it is lost.
func TestGoesHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := homeWorld(t, "r3.example.com:443")
		w.run(identity())
		time.Sleep(time.Hour)
		first := w.latest()
		first.linger = time.Hour
		first.home(tunnel.Home{Deadline: 5 * time.Minute, Relays: []string{"r3.example.com:443", "r4.example.com:443"}})
		synctest.Wait()
		second := w.latest()
		if second.welcome.Relay != "r4" {
			t.Fatalf("it is at %s", second.welcome.Relay)
		}
		if w.open() != 2 || first.reason() != "" {
			t.Errorf("the old tunnel takes no more streams while the relays hear of the new one: %q", first.reason())
		}
		time.Sleep(time.Minute)
		if first.reason() != fault.AgentStopped {
			t.Errorf("the old tunnel's goodbye: %q", first.reason())
		}
		time.Sleep(5 * time.Minute)
		if w.open() != 1 {
			t.Error("the old tunnel outlives the deadline")
		}
		second.end(fault.ConnectionLost)
		time.Sleep(time.Minute)
		if got := w.latest().welcome.Relay; got != "r4" {
			t.Errorf("when it was lost it was sought at %s", got)
		}
		w.wantState(agent.Connected)
		w.stop()
	})
}

// Where none takes it, the tunnel that there is serves on, and nothing is said of it.
func TestStaysWhereHomeIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := homeWorld(t, "r3.example.com:443")
		w.run(identity())
		time.Sleep(time.Hour)
		first := w.latest()
		first.home(tunnel.Home{Deadline: time.Minute, Relays: []string{"r3.example.com:443", "xx.example.com:443"}})
		time.Sleep(time.Hour)
		if w.latest() != first || w.open() != 1 || first.reason() != "" {
			t.Errorf("%d tunnels, goodbye %q", w.open(), first.reason())
		}
		w.wantState(agent.Connected)
		// It still hears when its relay drains.
		first.drain(tunnel.Drain{Deadline: time.Minute})
		time.Sleep(time.Minute)
		if w.latest() == first {
			t.Error("it does not move any more")
		}
		w.stop()
	})
}

// Whoever loses his tunnel while he seeks one at home does not wait for that.
func TestLossOnTheWayHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := homeWorld(t)
		w.run(identity())
		time.Sleep(time.Hour)
		first := w.latest()
		first.home(tunnel.Home{Deadline: time.Minute, Relays: []string{"xx.example.com:443"}})
		time.Sleep(time.Second)
		first.end(fault.ConnectionLost)
		time.Sleep(5 * time.Second)
		if w.latest() == first {
			t.Error("no tunnel is sought")
		}
		w.wantState(agent.Connected)
		w.stop()
	})
}

// A second tunnel that is there already becomes the first, and one that should be
// elsewhere itself is made anew where its relay says, or stays.
func TestSecondTunnelAndHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := homeWorld(t, "r7.example.com:443")
		i := warm(identity())
		i.Relays = []string{"r3.example.com:443"}
		w.run(i)
		first, second := w.pairOf()
		if first.welcome.Relay != "r3" || second.welcome.Relay != "r1" {
			t.Fatalf("the first is at %s, the second at %s", first.welcome.Relay, second.welcome.Relay)
		}
		first.home(tunnel.Home{Deadline: time.Minute, Relays: []string{"r2.example.com:443", "r1.example.com:443"}})
		synctest.Wait() // no time passes
		if second.said().Second {
			t.Fatal("the second tunnel is not the first")
		}
		time.Sleep(2 * time.Minute)
		now, next := w.pairOf()
		if now != second || next.welcome.Relay == "r1" {
			t.Fatalf("the first is at %s, the second at %s", now.welcome.Relay, next.welcome.Relay)
		}
		// Its pass is of a time when there were no relays at home. It is at the first one's
		// relay then, at one that does not answer, and at one that nobody has named before.
		next.home(tunnel.Home{Deadline: time.Minute, Relays: []string{"r1.example.com:443", "r7.example.com:443", "r8.example.com:443"}})
		time.Sleep(2 * time.Minute)
		now, last := w.pairOf()
		if now != second || last.welcome.Relay != "r8" || next.reason() != fault.AgentStopped {
			t.Fatalf("the first is at %s, the second at %s", now.welcome.Relay, last.welcome.Relay)
		}
		// It stays, where none takes it, and when it is lost it is not sought there only.
		time.Sleep(time.Hour)
		last.home(tunnel.Home{Deadline: time.Minute, Relays: []string{"r7.example.com:443"}})
		time.Sleep(time.Hour)
		if _, still := w.pairOf(); still != last {
			t.Errorf("the second is at %s", still.welcome.Relay)
		}
		// As the first one it is sought where it was.
		now.end(fault.ConnectionLost)
		time.Sleep(time.Minute)
		first, second = w.pairOf()
		if first != last {
			t.Fatalf("the first is at %s", first.welcome.Relay)
		}
		second.end(fault.ConnectionLost)
		<-second.gone
		synctest.Wait()
		before := len(w.attempts())
		first.end(fault.ConnectionLost)
		time.Sleep(2 * time.Second)
		// A second tunnel may be sought by then too, but not before there is a first one.
		if got := w.attempts()[before:]; len(got) == 0 || got[0].addr != "r8.example.com:443" {
			t.Errorf("it was sought at %v", got)
		}
		w.stop()
	})
}

// However often relays say so, a region is sought once in a while; and a relay that is
// the same by another name is none.
func TestHomeIsNotSoughtAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := homeWorld(t, "r3.example.com:443")
		w.run(identity())
		time.Sleep(time.Hour)
		first := w.latest()
		before := len(w.attempts())
		for range 60 {
			first.home(tunnel.Home{Deadline: time.Minute, Relays: []string{"r3.example.com:443"}})
			time.Sleep(10 * time.Second)
		}
		if n := len(w.attempts()) - before; n > 2 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		time.Sleep(time.Hour)
		first.home(tunnel.Home{Deadline: time.Minute, Relays: []string{"r1.other.example.com:443"}})
		time.Sleep(time.Minute)
		if first.reason() != "" || w.open() != 1 {
			t.Errorf("it left r1 for r1: %q, %d tunnels", first.reason(), w.open())
		}
		w.stop()
	})
}

// Relays are told of the region that is wished for, and when it is another.
func TestRelaysAreToldOfTheRegion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := homeWorld(t)
		w.ask = func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error) {
			g := grant("pass-n")
			g.Region = "us"
			return g, nil
		}
		i := identity()
		i.Region = "eu"
		w.run(i)
		time.Sleep(time.Minute)
		l := w.latest()
		if got := l.said().Region; got != "eu" {
			t.Errorf("it was told %q", got)
		}
		time.Sleep(passLife) // the pass was renewed meanwhile
		if got := l.said().Region; got != "us" || w.latest() != l {
			t.Errorf("it was told %q", got)
		}
		w.stop()
	})
}
