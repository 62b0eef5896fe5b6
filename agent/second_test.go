package agent_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/agent"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// warmWorld has three relays, of which r0 is as old as those that know of no
// second tunnels, and a control that wishes for one.
func warmWorld(t *testing.T) *world {
	w := newWorld(t)
	w.dial = func(_ context.Context, addr, _ string) (agent.LinkForTest, error) {
		l := w.link(id.Relay(addr[:2]))
		l.welcome.Second = l.welcome.Relay != "r0"
		return l, nil
	}
	return w
}

func warm(i agent.Identity) agent.Identity {
	i.Second = []tunnel.Place{
		{Relay: "r1", Addr: "r1.example.com:443"}, {Relay: "r0", Addr: "r0.example.com:443"},
		{Relay: "r2", Addr: "r2.example.com:443"}, {Relay: "r3", Addr: "r3.example.com:443"},
	}
	return i
}

// pairOf waits until there are two tunnels, and gives the first and the second.
func (w *world) pairOf() (first, second *fakeLink) {
	w.t.Helper()
	for range 100 {
		synctest.Wait()
		first, second = nil, nil
		w.mu.Lock()
		for _, l := range w.links {
			select {
			case <-l.gone:
				continue
			default:
			}
			l.mu.Lock()
			n := len(l.statuses)
			l.mu.Unlock()
			switch {
			case n == 0:
			case l.said().Second:
				second = l
			default:
				first = l
			}
		}
		w.mu.Unlock()
		if first != nil && second != nil && w.open() == 2 {
			return first, second
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("there are no two tunnels, first and second: %+v, %d open, dials %v", w.agent.Status(), w.open(), w.attempts())
	return nil, nil
}

func TestSecondTunnelTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := warmWorld(t)
		w.run(warm(identity()))
		first, second := w.pairOf()
		if first.welcome.Relay != "r1" || second.welcome.Relay != "r2" {
			t.Fatalf("the first is at %s, the second at %s", first.welcome.Relay, second.welcome.Relay)
		}
		if n := w.opened(); n != 3 { // r0's was hung up before it heard a status
			t.Errorf("%d tunnels were opened", n)
		}
		first.end(fault.ConnectionLost)
		synctest.Wait() // no time passes
		if second.said().Second {
			t.Fatal("the second tunnel is not the first at once")
		}
		if s := w.wantState(agent.Connected); s.Relay != "r2" {
			t.Errorf("the page says %s", s.Relay)
		}
		if now, next := w.pairOf(); now != second || next.welcome.Relay == "r2" {
			t.Errorf("beside r2 the next second one is at %s", next.welcome.Relay)
		}
		w.stop()
		if w.open() != 0 {
			t.Error("a tunnel outlives the agent")
		}
	})
}

// What makes an agent seek a second tunnel makes thousands: they do not come at
// once, neither when the wish is new nor when a relay was lost.
func TestSecondTunnelsAreNotSoughtAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := warmWorld(t)
		w.configure = func(c *agent.Config) { c.SecondWithin = time.Hour }
		w.run(warm(identity()))
		alone := func(when string) {
			t.Helper()
			synctest.Wait() // no time passes
			if n := w.open(); n != 1 {
				t.Errorf("%s: %d tunnels", when, n)
			}
			time.Sleep(time.Hour)
		}
		alone("at the start")
		first, _ := w.pairOf()
		first.end(fault.ConnectionLost)
		alone("after the loss of the first")
		w.pairOf()
		w.stop()
	})
}

// A relay that drains loses its first tunnel to the second one, and its second
// one to another relay, new tunnel first.
func TestSecondTunnelAndDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := warmWorld(t)
		w.run(warm(identity()))
		first, second := w.pairOf()
		second.drain(tunnel.Drain{Deadline: time.Minute, Within: time.Second})
		<-second.gone
		if w.open() != 2 {
			t.Errorf("%d tunnels when the second one goes", w.open())
		}
		now, third := w.pairOf()
		if now != first || third.welcome.Relay != "r3" {
			t.Fatalf("the second moved to %s", third.welcome.Relay)
		}
		first.drain(tunnel.Drain{Deadline: time.Minute, Within: time.Second})
		<-first.gone
		if third.said().Second || third.reason() != "" {
			t.Error("the second one did not take over from a relay that drains")
		}
		w.stop()
	})
}

// It ends when it is no more wished for, and nobody promotes it when the
// provider, and not the line, ended the first.
func TestSecondTunnelEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := warmWorld(t)
		w.ask = func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error) {
			return grant("pass-n"), nil
		}
		w.run(warm(identity()))
		first, second := w.pairOf()
		time.Sleep(passLife) // the pass was renewed meanwhile, without the wish
		if w.open() != 1 || second.reason() != fault.AgentStopped || len(first.sent()) == 0 {
			t.Errorf("%d tunnels; the second ended with %q", w.open(), second.reason())
		}
		w.stop()
	})
	synctest.Test(t, func(t *testing.T) {
		w := warmWorld(t)
		w.run(warm(identity()))
		first, second := w.pairOf()
		first.end(fault.Replaced)
		synctest.Wait()
		if !second.said().Second {
			t.Error("two agents of one key would fight with two tunnels each")
		}
		w.stop()
	})
}
