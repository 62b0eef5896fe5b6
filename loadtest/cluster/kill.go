package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/loadtest/clock"
	"trunkline/loadtest/target"
)

// relayKilled is a machine that dies. It comes back when its devices are
// elsewhere.
var relayKilled = Failure{
	Name: "relay-killed", About: "kill -9 of one relay of three; started again after a while",
	Do:    killRelay,
	Judge: killedRelay,
}

// relayKilledSecond is the same where each PBX has a second tunnel, and so is
// elsewhere already.
var relayKilledSecond = Failure{
	Name: "relay-killed-second", About: "kill -9 of one relay of three, while every PBX has a second tunnel; started again after a while",
	Do: func(ctx context.Context, s *Scene) error {
		began := time.Now()
		if err := s.secondTunnels(ctx, true); err != nil {
			return err
		}
		s.fact("%d PBXs had a second tunnel %.1f s after the account wished for it", len(s.Generator.PBXs()), time.Since(began).Seconds())
		return errors.Join(killRelay(ctx, s), s.secondTunnels(ctx, false))
	},
	Judge: killedRelay,
}

func killRelay(ctx context.Context, s *Scene) error {
	m := s.relays[0]
	s.part = s.with(m, killed)
	m.Kill()
	s.now() // until it was gone, which takes tens of milliseconds, it took requests
	s.wait(ctx, s.Scale.Cut)
	return m.Start(ctx)
}

func killedRelay(r *Row) {
	if n := r.lost() - r.There; n > 0 {
		r.fault("%d requests were lost beyond the %d that were under way through the relay that was killed", n, r.There)
	}
	rightBytes(r)
	rightStatuses(r)
	back(r)
}

// secondTunnels has the account wish for them, or not, and waits until the relays
// hold as many as there are PBXs, or none.
func (s *Scene) secondTunnels(ctx context.Context, on bool) error {
	if _, err := s.API.EditTunnelSettings(ctx, controlapi.TunnelSettingsEdit{SecondTunnel: &on}); err != nil {
		return err
	}
	return clock.Again(ctx, patience, lookEvery, func() error {
		n, err := s.haveSecond(ctx)
		if all := len(s.Generator.PBXs()); err == nil && !(on && n >= all || !on && n == 0) {
			err = fmt.Errorf("%d second tunnels, and the account's wish for them is %t", n, on)
		}
		return err
	})
}

// haveSecond is how many second tunnels the relays hold.
func (s *Scene) haveSecond(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answersIn)
	defer cancel()
	for _, m := range s.relays {
		have, err := target.Metric(ctx, "http://"+s.at(m.node, portAdmin)+"/metrics", "trunkline_relay_second_tunnels")
		if err != nil {
			return 0, err
		}
		n += int(have)
	}
	return n, nil
}
