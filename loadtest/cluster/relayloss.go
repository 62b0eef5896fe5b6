package cluster

import (
	"context"
	"errors"
	"syscall"
)

// relayFrozen is a machine that hangs and then goes on as if nothing had been:
// its devices have other tunnels by then, and the old ones must not win back.
var relayFrozen = Failure{
	Name: "relay-frozen", About: "SIGSTOP of one relay, and SIGCONT after a while",
	Do:    freezeRelay,
	Judge: silentRelay,
}

// relayFrozenSecond is the same where each PBX has a second tunnel: what comes to the
// other relays goes by that.
var relayFrozenSecond = Failure{
	Name: "relay-frozen-second", About: "SIGSTOP of one relay, while every PBX has a second tunnel, and SIGCONT after a while",
	Do: func(ctx context.Context, s *Scene) error {
		if err := s.secondTunnels(ctx, true); err != nil {
			return err
		}
		return errors.Join(freezeRelay(ctx, s), s.secondTunnels(ctx, false))
	},
	Judge: silentRelay,
}

func freezeRelay(ctx context.Context, s *Scene) error {
	m := s.relays[1]
	s.part = s.with(m, silenced)
	s.now()
	s.silence(m, true)
	m.Signal(syscall.SIGSTOP)
	s.wait(ctx, s.Scale.Frozen)
	m.Signal(syscall.SIGCONT)
	s.silence(m, false)
	return nil
}

// relayCut is a relay that works, and that nobody reaches.
var relayCut = Failure{
	Name: "relay-cut", About: "one relay's network is cut, without a word to anybody, and comes back", Cuts: true,
	Do: func(ctx context.Context, s *Scene) error {
		m := s.relays[2]
		s.part = s.with(m, silenced)
		s.now()
		s.silence(m, true)
		if err := s.net.cut(m.node, true); err != nil {
			return err
		}
		s.wait(ctx, s.Scale.Cut)
		err := s.net.cut(m.node, false)
		s.silence(m, false)
		return err
	},
	Judge: silentRelay,
}

// silentRelay is the goal of those that say no word: an agent doubts its relay
// 10 s after a ping, of which there is one in 25 s at least
// (internal/tunnel/PROTOCOL.md), and then has as long as after a kill. What came to
// the relay itself waits for the balancer to give it up; what came to others, and
// only reads, waits for nothing but the PBX.
func silentRelay(r *Row) {
	onlyThere(r)
	rightBytes(r)
	rightStatuses(r)
	if r.Most > 35+30 || r.All > 35+60 {
		r.late("95 %% of the devices were back after %.0f s, all after %.0f s; the goals are 65 s and 95 s", r.Most, r.All)
	}
	if r.Healthy > 35+60 {
		r.late("the last request that was lost was due after %.0f s; the goal is 95 s", r.Healthy)
	}
}

// relaysRolling is an upgrade of all relays.
var relaysRolling = Failure{
	Name: "relays-rolling", About: "every relay in turn: SIGTERM, and started again when it has drained",
	Do: func(ctx context.Context, s *Scene) error {
		s.now()
		for _, m := range s.relays {
			if err := m.Stop(s.Scale.Drain.Deadline + startPatience); err != nil {
				return err
			}
			if err := m.Start(ctx); err != nil {
				return err
			}
			s.wait(ctx, s.Scale.Apart)
		}
		return nil
	},
	Judge: restarted,
}
