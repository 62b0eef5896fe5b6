package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Clocks of whole processes are set: what that may do is in docs/failures.md.
var (
	clockControl = clockStep("clock-control", "one control of two", false, func(s *Scene) []*member { return s.controls[:1] })
	clockRelay   = clockStep("clock-relay", "one relay of three", false, func(s *Scene) []*member { return s.relays[:1] })
	clockNATS    = clockStep("clock-nats", "one nats-server of three", false, func(s *Scene) []*member { return s.nats[:1] })
	clockAgents  = clockStep("clock-agents", "agents", true, func(*Scene) []*member { return nil })
	clockAll     = clockStep("clock-all", "all controls, relays and nats-servers, and of agents,", true, func(s *Scene) []*member {
		return slices.Concat(s.controls, s.relays, s.nats)
	})
)

// Clocks are the failures that need programs with clocks of their own.
func Clocks() []Failure {
	return []Failure{clockControl, clockRelay, clockNATS, clockAgents, clockAll}
}

// clockStep is a time of day that jumps, and comes back, while PBXs are activated
// and all of them are visited. Some have agents that are processes, whose clocks jump too
// if they are to.
func clockStep(name, whose string, agents bool, of func(*Scene) []*member) Failure {
	return Failure{
		Name: name, About: "the clock of " + whose + " is set an hour ahead, right, an hour back, and right again, in the middle of activations",
		Do: func(ctx context.Context, s *Scene) error {
			if !s.o.OwnClocks {
				return errors.New("these programs have the machine's clock: make cluster-clocks builds others")
			}
			a, err := s.startAgents(ctx, s.o.Agent, clockedAgents, func(i int) []string { return s.clockOf(agentName(i)) })
			if err != nil {
				return err
			}
			var names []string
			for _, m := range of(s) {
				names = append(names, m.name)
			}
			for i := range clockedAgents {
				if agents {
					names = append(names, agentName(i))
				}
			}
			return errors.Join(a.visited(ctx, func() error {
				return s.activating(ctx, func() error { return s.stepClocks(ctx, names) })
			}), a.close(ctx))
		},
		Judge: nothingLost,
	}
}

const clockedAgents = 3

func agentName(i int) string { return fmt.Sprintf("agent-%d", i+1) }

// clockOf is the environment of a process by that name, which gets a clock that is
// right.
func (c *Cluster) clockOf(name string) []string {
	if !c.o.OwnClocks {
		return nil
	}
	c.setClock(name, 0)
	return []string{"TRUNKLINE_CLOCK=" + c.clockFile(name)}
}

func (c *Cluster) clockFile(name string) string { return c.path(name + ".clock") }

// setClock sets the clock of the process by that name, which has it mapped: the
// file is written in place, and in one piece.
func (c *Cluster) setClock(name string, ahead time.Duration) {
	f, err := os.OpenFile(c.clockFile(name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(ahead/time.Second))), 0)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		panic("BUG: clock of " + name + ": " + err.Error()) // the directory is ours
	}
}

func (s *Scene) stepClocks(ctx context.Context, names []string) error {
	ended, err := s.endedVisit(ctx)
	if err != nil {
		return err
	}
	s.now()
	for _, at := range []struct {
		ahead time.Duration
		is    string
	}{
		{time.Hour, "an hour ahead"}, {0, "right again"}, {-time.Hour, "an hour back"}, {0, "right again, after that"},
	} {
		for _, name := range names {
			s.setClock(name, at.ahead)
		}
		s.wait(ctx, s.Scale.Stepped)
		if err := s.stillHolds(ctx, ended, "the clock was "+at.is); err != nil {
			return fmt.Errorf("with the clock %s: %w", at.is, err)
		}
	}
	return nil
}
