package agent_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/agent"
	"trunkline/internal/controlapi"
)

// The pass is renewed between half and four fifths of its life, over and over,
// stored, and handed to the relay over the tunnel that is up.
func TestPassIsRenewedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		start := time.Now()
		w.run(identity())
		time.Sleep(10 * passLife)
		at := append([]time.Time{start}, w.renewals()...)
		if len(at) < 12 || len(at) > 21 {
			t.Errorf("%d renewals in 10 lives of a pass", len(at)-1)
		}
		for n := 1; n < len(at); n++ {
			if gap := at[n].Sub(at[n-1]); gap < passLife/2 || gap > passLife*8/10+time.Second {
				t.Errorf("renewed after %v", gap)
			}
		}
		if len(w.attempts()) != 1 {
			t.Error("a renewal disturbed the tunnel")
		}
		if got := w.latest().sent(); len(got) != len(at)-1 || got[0] != "pass-n" {
			t.Errorf("the relay was sent %q", got)
		}
		w.stop()
		i, err := agent.LoadForTest(w.data)
		if last := at[len(at)-1]; err != nil || !i.Pass.Received.Equal(last) {
			t.Errorf("stored as received at %v, was at %v; error %v", i.Pass.Received, last, err)
		}
	})
}

// Control is away when the pass falls due: the tunnel stays, and the pass is
// renewed soon after control is back.
func TestControlAwayAtRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ask = func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error) {
			return controlapi.Grant{}, errAway
		}
		w.run(identity())
		time.Sleep(passLife + time.Hour)
		w.wantState(agent.Connected)
		if n := len(w.renewals()); n < 10 || n > 300 {
			t.Errorf("%d attempts to renew", n)
		}
		w.change(func() {
			w.ask = func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error) { return grant("late"), nil }
		})
		time.Sleep(10*time.Minute + time.Second)
		if got := w.latest().sent(); !slices.Equal(got, []string{"late"}) {
			t.Errorf("the relay was sent %q", got)
		}
		w.stop()
	})
}

// A missing pass is asked for before anything is dialled.
func TestMissingPassIsRenewedByTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		i := identity()
		i.Pass = agent.Pass{}
		key := agent.StoreForTest(t, w.data, i)
		w.ask = func(_ context.Context, q controlapi.RenewalRequest) (controlapi.Grant, error) {
			if !controlapi.VerifyRenewalProof(key, q.Device, q.Nonce, q.Proof) {
				return controlapi.Grant{}, errors.New("the proof does not verify")
			}
			return grant("pass-n"), nil
		}
		w.run(i)
		time.Sleep(2 * time.Second)
		w.wantState(agent.Connected)
		if d := w.attempts(); len(d) != 1 || d[0].pass != "pass-n" {
			t.Errorf("dialled %+v", d)
		}
		w.stop()
	})
}

func TestAnswerForAnotherDeviceIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ask = func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error) {
			g := grant("stranger's")
			g.Device = "dev_zzzzzzzzzzzzzzzz"
			return g, nil
		}
		w.run(identity())
		time.Sleep(passLife)
		w.stop()
		if i, err := agent.LoadForTest(w.data); err != nil || i.Pass.Token != "pass-0" || i.Device != identity().Device {
			t.Errorf("%s with %s, error %v", i.Device, i.Pass.Token, err)
		}
	})
}

// After a restart the clock on the wall is all there is, and it may have
// jumped either way.
func TestRenewalAfterRestart(t *testing.T) {
	now := time.Now()
	for _, r := range []struct {
		what     string
		pass     agent.Pass
		min, max time.Duration
	}{
		{"fresh", agent.Pass{Token: "x", Received: now, Life: passLife}, passLife / 2, passLife*8/10 + 1},
		{"a third gone", agent.Pass{Token: "x", Received: now.Add(-8 * time.Hour), Life: passLife}, 4 * time.Hour, 12 * time.Hour},
		{"nearly gone", agent.Pass{Token: "x", Received: now.Add(-23 * time.Hour), Life: passLife}, -12 * time.Hour, 0},
		{"expired, or the clock jumped ahead", agent.Pass{Token: "x", Received: now.Add(-25 * time.Hour), Life: passLife}, 0, 0},
		{"received in the future: the clock jumped back", agent.Pass{Token: "x", Received: now.Add(time.Minute), Life: passLife}, 0, 0},
		{"none", agent.Pass{}, 0, 0},
	} {
		if due := agent.RenewalDueForTest(r.pass, now); due < r.min || due > r.max {
			t.Errorf("%s: renewed after %v, want %v to %v", r.what, due, r.min, r.max)
		}
	}
}

// Where very many are told, each takes its turn within the whole of that time.
func TestNewsMayTakeLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		time.Sleep(time.Hour)
		l := w.latest()
		<-l.ready
		var latest time.Duration
		for n := range 8 {
			at := time.Now()
			l.handlers.OnRenew(40 * time.Minute)
			time.Sleep(41 * time.Minute)
			r := w.renewals()
			if len(r) != n+1 {
				t.Fatalf("%d renewals, want %d", len(r), n+1)
			}
			latest = max(latest, r[n].Sub(at))
		}
		if latest < 10*time.Minute || latest > 40*time.Minute+time.Millisecond {
			t.Errorf("of eight turns within 40 minutes the latest was after %v", latest)
		}
		w.stop()
	})
}

// While what an account wishes is told in turn, a word about this device alone is
// heard at once; and another about the account draws no earlier turn.
func TestQuickNewsAreNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		time.Sleep(time.Minute)
		l := w.latest()
		<-l.ready
		const turns = 20
		sooner := 0
		for range turns {
			was, at := len(w.renewals()), time.Now()
			for range 10 {
				l.handlers.OnRenew(40 * time.Minute)
				time.Sleep(time.Millisecond)
			}
			time.Sleep(41 * time.Minute)
			r := w.renewals()[was:]
			if len(r) != 1 {
				t.Fatalf("%d renewals for one wish, at %v after %v", len(r), r, at)
			}
			if r[0].Sub(at) < 10*time.Minute {
				sooner++
			}
		}
		if sooner > turns*3/5 {
			t.Errorf("%d of %d turns within 40 minutes were in the first ten", sooner, turns)
		}
		for range turns {
			was := len(w.renewals())
			l.handlers.OnRenew(time.Hour)
			time.Sleep(time.Second)
			l.handlers.OnRenew(time.Second)
			time.Sleep(12 * time.Second)
			if n := len(w.renewals()) - was; n == 0 {
				t.Error("what is said of this device waits for its turn of what the account wishes")
			}
			time.Sleep(2 * time.Hour)
		}
		w.stop()
	})
}

// A relay's word that there is news has the pass renewed soon, and with however
// many words no more often than every ten seconds.
func TestNewsRenewThePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		time.Sleep(time.Hour)
		if n := len(w.renewals()); n != 0 {
			t.Fatalf("%d renewals of a pass that is good for a day", n)
		}
		l := w.latest()
		<-l.ready
		at := time.Now()
		l.handlers.OnRenew(5 * time.Second)
		time.Sleep(6 * time.Second)
		if r := w.renewals(); len(r) != 1 || r[0].Sub(at) > 5*time.Second+time.Millisecond {
			t.Fatalf("renewals at %v; the relay asked at %v for one within 5 s", r, at)
		}
		for range 600 {
			l.handlers.OnRenew(time.Second)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if n := len(w.renewals()); n < 5 || n > 8 {
			t.Errorf("%d renewals after a minute in which a relay asked for one all the time, want one in ten seconds", n)
		}
		was := len(w.renewals())
		time.Sleep(2 * time.Hour)
		if n := len(w.renewals()); n != was {
			t.Errorf("%d renewals more, and nobody asked for them", n-was)
		}
		w.stop()
	})
}
