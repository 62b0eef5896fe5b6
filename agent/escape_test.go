package agent_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/agent"
	"trunkline/internal/fault"
)

// A relay that hangs says nothing: the agent has another one before it gives the
// first up, and says Connected all the while.
func TestLeavesARelayThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		time.Sleep(time.Hour)
		first := w.latest()
		first.silent()
		synctest.Wait()
		w.wantState(agent.Connected)
		second := w.latest()
		if second == first {
			t.Fatal("it stays with a relay that does not answer")
		}
		if d := w.attempts(); d[0].addr == d[1].addr {
			t.Errorf("it tried %s again, of two relays", d[0].addr)
		}
		if !first.stoppedAt().IsZero() {
			t.Error("the first tunnel was ended at once, before the relays know of the second")
		}
		first.end(fault.PeerSilent)
		time.Sleep(time.Hour)
		w.wantState(agent.Connected)
		if n := len(w.attempts()); n != 2 {
			t.Errorf("%d attempts, want 2", n)
		}
		w.stop()
	})
}

// Where no relay answers it is the line: nothing is given up before its time, and
// all is as it was when the line is back.
func TestALineThatIsCutForAMomentCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		time.Sleep(time.Hour)
		w.change(func() {
			w.dial = func(context.Context, string, string) (agent.LinkForTest, error) { return nil, errAway }
		})
		l := w.latest()
		for range 3 {
			l.silent()
			time.Sleep(10 * time.Second)
			w.wantState(agent.Connected)
		}
		l.answers()
		time.Sleep(time.Hour)
		w.wantState(agent.Connected)
		if w.open() != 1 || w.latest() != l {
			t.Error("the tunnel was given up")
		}
		var got []string
		for _, a := range w.attempts()[1:] {
			got = append(got, a.addr)
		}
		i := identity()
		if want := []string{i.Relays[1], i.Relays[0], i.Relays[1]}; !slices.Equal(got, want) {
			t.Errorf("it tried %v, want %v", got, want)
		}
		w.stop()
	})
}

// A silence that is over does not count when the next one comes: the first relay
// to be tried is again the one after that which is silent.
func TestEachSilenceBeginsWithTheNextRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		i := identity()
		i.Relays = append(i.Relays, "r3.example.com:443")
		w.run(i)
		time.Sleep(time.Hour)
		w.change(func() {
			w.dial = func(context.Context, string, string) (agent.LinkForTest, error) { return nil, errAway }
		})
		l := w.latest()
		for range 3 {
			l.silent()
			time.Sleep(time.Second)
			l.answers()
			time.Sleep(time.Hour)
		}
		for _, a := range w.attempts()[1:] {
			if a.addr != i.Relays[1] {
				t.Errorf("it tried %s first, and %s is the next one", a.addr, i.Relays[1])
			}
		}
		if n := len(w.attempts()); n != 4 {
			t.Errorf("%d attempts, want one for each silence", n-1)
		}
		w.stop()
	})
}

// The line is back while the agent is about to have another tunnel: it stays where
// it is, and no relay is told of the other one.
func TestARelayThatAnswersAfterAllIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		time.Sleep(time.Hour)
		first := w.latest()
		w.change(func() {
			w.dial = func(context.Context, string, string) (agent.LinkForTest, error) {
				first.answers()
				return w.link("r2"), nil
			}
		})
		first.silent()
		time.Sleep(time.Hour)
		w.wantState(agent.Connected)
		other := w.latest()
		if other == first || w.open() != 1 || !first.stoppedAt().IsZero() {
			t.Fatal("the first tunnel is not the one that is left")
		}
		if s := other.said(); s.Portal.Origin != "" {
			t.Errorf("the other relay was told %+v", s)
		}
		w.stop()
	})
}

// The second tunnel serves as soon as the first one's relay is in doubt; unless
// that does not answer either.
func TestSecondTunnelServesWhenTheFirstIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := warmWorld(t)
		w.run(warm(identity()))
		first, second := w.pairOf()
		before := len(w.attempts())
		first.silent()
		synctest.Wait()
		if second.said().Second {
			t.Error("the second tunnel is not the first one yet")
		}
		if n := len(w.attempts()); n > before+1 { // that of the new second tunnel
			t.Errorf("%d more attempts", n-before)
		}
		w.stop()
	})
	synctest.Test(t, func(t *testing.T) {
		w := warmWorld(t)
		w.run(warm(identity()))
		first, second := w.pairOf()
		second.silent()
		first.silent()
		synctest.Wait()
		if !second.said().Second {
			t.Error("a second tunnel that does not answer was made the first one")
		}
		w.wantState(agent.Connected)
		w.stop()
	})
}
