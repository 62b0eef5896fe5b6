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
	"trunkline/internal/tunnel"
)

// A relay that is away is tried for ever, at first quickly, never more often
// than the backoff allows and never less often than every two minutes.
func TestRetriesForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial = func(context.Context, string, string) (agent.LinkForTest, error) { return nil, errAway }
		w.run(identity())
		time.Sleep(24 * time.Hour)
		got := w.attempts()
		// Uniform in two minutes: one a minute, 1,440 a day, and 38 of deviation.
		if len(got) < 1250 || len(got) > 1650 {
			t.Errorf("%d attempts in a day", len(got))
		}
		limit := time.Second
		for n := 1; n < len(got); n++ {
			if gap := got[n].at.Sub(got[n-1].at); gap > limit {
				t.Errorf("wait %d was %v, more than %v", n, gap, limit)
			}
			if got[n].addr == got[n-1].addr {
				t.Fatalf("relay %s twice in a row; there are two", got[n].addr)
			}
			limit = min(2*limit, 2*time.Minute)
		}
		if s := w.wantState(agent.ServerUnreachable); s.Tried != len(got) || s.NextTry.Before(time.Now()) || s.Reason == "" {
			t.Errorf("%+v after %d attempts", s, len(got))
		}
		if first := w.renewals()[0].Sub(got[0].at); first < time.Second {
			t.Errorf("control was asked for relays after %v", first)
		}
		w.stop()
	})
}

func TestBackoffOutlastsUnstableTunnels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial = func(context.Context, string, string) (agent.LinkForTest, error) {
			l := w.link("r1")
			l.end(fault.ConnectionLost)
			return l, nil
		}
		w.run(identity())
		time.Sleep(time.Hour)
		if n := len(w.attempts()); n > 120 {
			t.Errorf("%d attempts in an hour at a relay that drops tunnels at once", n)
		}
		w.stop()
	})
}

func TestComesBackAtOnceAfterAStableTunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		for range 5 {
			time.Sleep(61 * time.Second)
			w.wantState(agent.Connected)
			at := time.Now()
			w.latest().end(fault.ConnectionLost)
			time.Sleep(1100 * time.Millisecond)
			w.wantState(agent.Connected)
			d := w.attempts()
			if last := d[len(d)-1]; last.at.Sub(at) > time.Second || last.addr != d[0].addr {
				t.Errorf("came back to %s after %v", last.addr, last.at.Sub(at))
			}
		}
		w.stop()
		if w.latest().stoppedAt().IsZero() {
			t.Error("no goodbye")
		}
	})
}

// What a relay says decides the state that the PBX shows, and how soon the
// agent comes again.
func TestRefusals(t *testing.T) {
	const quick, slow = 2 * time.Minute, 15 * time.Minute
	for _, r := range []struct {
		code  fault.Code
		state agent.State
		min   time.Duration // of every wait
		max   time.Duration
	}{
		{fault.DeviceRemoved, agent.DisconnectedByProvider, 10 * time.Minute, slow},
		{fault.Replaced, agent.Rejected, 10 * time.Minute, slow},
		{fault.NoConnections, agent.OverCapacity, 0, quick},
		{fault.LicenceExpired, agent.LicenceExpired, 0, quick},
		{fault.ProofInvalid, agent.Rejected, 0, quick},
		{fault.VersionMismatch, agent.Rejected, 0, quick},
		{fault.Unavailable, agent.ServerUnreachable, 0, quick},
		{fault.Draining, agent.Connecting, 0, quick},
		{fault.TooMany, agent.Connecting, 0, quick},
		{"a_code_of_tomorrow", agent.Rejected, 0, quick},
	} {
		t.Run(string(r.code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.dial = func(context.Context, string, string) (agent.LinkForTest, error) {
					return nil, fault.New(r.code, "No.\x1b[2J")
				}
				w.run(identity())
				time.Sleep(2 * time.Hour)
				s := w.wantState(r.state)
				if s.Code != r.code || s.Reason == "" || s.Reason == "No.\x1b[2J" {
					t.Errorf("%+v", s)
				}
				d := w.attempts()
				for n := 1; n < len(d); n++ {
					if gap := d[n].at.Sub(d[n-1].at); gap < r.min || gap > r.max {
						t.Errorf("wait %d: %v", n, gap)
					}
				}
				// Whatever it was, when the relay changes its mind the agent is there.
				w.change(func() {
					w.dial = func(context.Context, string, string) (agent.LinkForTest, error) { return w.link("r1"), nil }
				})
				time.Sleep(r.max + time.Second)
				w.wantState(agent.Connected)
				w.stop()
			})
		})
	}
}

func TestRetryHintIsHonouredWithinBounds(t *testing.T) {
	for hint, want := range map[time.Duration][2]time.Duration{
		40 * time.Second: {40 * time.Second, 2 * time.Minute},
		24 * time.Hour:   {5 * time.Minute, 375 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.dial = func(context.Context, string, string) (agent.LinkForTest, error) {
				return nil, fault.New(fault.TooMany, "Later.").After(hint)
			}
			w.run(identity())
			time.Sleep(time.Hour)
			d := w.attempts()
			for n := 1; n < len(d); n++ {
				if gap := d[n].at.Sub(d[n-1].at); gap < want[0] || gap > want[1] {
					t.Errorf("hint %v: waited %v", hint, gap)
				}
			}
			w.stop()
		})
	}
}

func TestRefusedPassIsRenewedAtOnce(t *testing.T) {
	for _, code := range []fault.Code{fault.PassExpired, fault.PassInvalid} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.dial = func(_ context.Context, _, pass string) (agent.LinkForTest, error) {
				if pass == "pass-0" {
					return nil, fault.New(code, "Renew it.")
				}
				return w.link("r1"), nil
			}
			w.run(identity())
			time.Sleep(2 * time.Second)
			w.wantState(agent.Connected)
			w.stop()
			if i, err := agent.LoadForTest(w.data); err != nil || i.Pass.Token != "pass-n" {
				t.Errorf("stored pass %q, error %v", i.Pass.Token, err)
			}
		})
	}
}

// A relay that takes no pass at all must not make the agent a load on control.
func TestRelayThatRefusesEveryPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial = func(context.Context, string, string) (agent.LinkForTest, error) {
			return nil, fault.New(fault.PassInvalid, "Who are you?")
		}
		w.run(identity())
		time.Sleep(time.Hour)
		if n := len(w.renewals()); n > 60 {
			t.Errorf("%d renewals in an hour", n)
		}
		w.wantState(agent.Rejected)
		w.stop()
	})
}

func TestControlSaysTheDeviceIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial = func(context.Context, string, string) (agent.LinkForTest, error) {
			return nil, fault.New(fault.PassInvalid, "Unknown key.")
		}
		w.ask = func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error) {
			return controlapi.Grant{}, fault.New(fault.DeviceRemoved, "Removed.")
		}
		w.run(identity())
		time.Sleep(time.Minute)
		w.wantState(agent.DisconnectedByProvider)
		if n := len(w.renewals()); n > 2 {
			t.Errorf("control was asked %d times in a minute", n)
		}
		w.stop()
	})
}

// Told to move, the agent is at another relay before it leaves the first, and
// says Connected all the while; streams on the old tunnel get their time.
func TestDrainMakesBeforeItBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		time.Sleep(time.Hour)
		first := w.latest()
		first.linger = time.Hour
		first.drain(tunnel.Drain{Deadline: 5 * time.Minute, Within: 20 * time.Second})
		asked := time.Now()
		for range 25 {
			w.wantState(agent.Connected)
			time.Sleep(time.Second)
		}
		second := w.latest()
		if second == first {
			t.Fatal("it did not move")
		}
		d := w.attempts()
		if d[0].addr == d[1].addr || d[1].at.Sub(asked) > 20*time.Second {
			t.Errorf("moved from %s to %s after %v", d[0].addr, d[1].addr, d[1].at.Sub(asked))
		}
		if left := first.stoppedAt(); left.Before(d[1].at) {
			t.Errorf("left the first relay at %v, before it dialled the second at %v", left, d[1].at)
		}
		time.Sleep(5 * time.Minute)
		select {
		case <-first.stop:
		default:
			t.Error("the old tunnel outlives the deadline")
		}
		w.wantState(agent.Connected)
		w.stop()
	})
}

// A relay that takes the tunnel that was just left for the newer one, as it may when
// NATS has lost all, ends the new one. There is no other agent, so that is no reason to
// stay away; one that comes later is.
func TestItsOwnOldTunnelIsNoOtherAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		time.Sleep(time.Hour)
		w.latest().drain(tunnel.Drain{Deadline: 30 * time.Second})
		time.Sleep(5 * time.Second)
		w.latest().end(fault.Replaced)
		time.Sleep(2 * time.Second)
		w.wantState(agent.Connected)
		time.Sleep(time.Hour)
		w.latest().end(fault.Replaced)
		time.Sleep(time.Minute)
		w.wantState(agent.Rejected)
		w.stop()
	})
}

// The old tunnel dies while no other relay can be had: that is no connection.
func TestDrainWithNowhereToGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		taken := false
		w.dial = func(context.Context, string, string) (agent.LinkForTest, error) {
			if taken {
				return nil, errAway
			}
			taken = true
			return w.link("r1"), nil
		}
		w.run(identity())
		time.Sleep(time.Minute)
		w.latest().drain(tunnel.Drain{Deadline: time.Minute})
		time.Sleep(30 * time.Second)
		w.wantState(agent.Connected)
		w.latest().end(fault.Draining)
		time.Sleep(3 * time.Minute)
		w.wantState(agent.ServerUnreachable)
		w.stop()
	})
}

func TestRelayThatDrainsEverybodyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial = func(context.Context, string, string) (agent.LinkForTest, error) {
			l := w.link("r1")
			l.linger = time.Hour
			go l.drain(tunnel.Drain{Deadline: time.Hour})
			return l, nil
		}
		w.run(identity())
		time.Sleep(time.Hour)
		if n := len(w.attempts()); n > 120 {
			t.Errorf("%d tunnels in an hour", n)
		}
		if n := w.open(); n > 5 {
			t.Errorf("%d tunnels are open", n)
		}
		w.stop()
	})
}

// A relay that asks to move says where to, and the agent goes there first, though
// control has not named that relay; what cannot be had it goes past.
func TestDrainSaysWhereTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		away := map[string]bool{"hint-1:8443": true}
		w.dial = func(_ context.Context, addr, _ string) (agent.LinkForTest, error) {
			if away[addr] {
				return nil, errAway
			}
			return w.link("r1"), nil
		}
		w.run(identity())
		time.Sleep(time.Hour)
		from := w.attempts()[0].addr
		w.latest().drain(tunnel.Drain{Deadline: time.Minute, Relays: []string{from, "hint-1:8443", "hint-2:8443"}})
		time.Sleep(time.Hour) // it is stable there
		w.wantState(agent.Connected)
		w.latest().end(fault.ConnectionLost)
		time.Sleep(time.Minute)
		var got []string
		for _, a := range w.attempts() {
			got = append(got, a.addr)
		}
		if want := []string{from, "hint-1:8443", "hint-2:8443", "hint-2:8443"}; !slices.Equal(got, want) {
			t.Errorf("it went to %v, want %v", got, want)
		}
		w.stop()
	})
}
