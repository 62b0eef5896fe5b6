package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"trunkline/loadtest/clock"
	"trunkline/loadtest/target"
)

// upgrade replaces the program of every node while the others still have the one
// before, in the order that docs/upgrades.md gives, and takes the first relay back
// once. Agents stay as they are: most are of the program under test from the
// start, and some of the one before to the end.
var upgrade = Failure{
	Name: "upgrade", About: "controls and then relays, one after the other: SIGTERM, and started again with the program under test; one relay back and forth; some agents stay behind",
	Do: func(ctx context.Context, s *Scene) error {
		if s.o.From == "" {
			return errors.New("upgrade from what? Give --from")
		}
		program := filepath.Join(filepath.Dir(s.o.From), "trunkline-agent")
		a, err := s.startAgents(ctx, program, oldAgents, func(int) []string { return nil })
		if err != nil {
			return fmt.Errorf("agents of the program before: %w", err)
		}
		return errors.Join(a.visited(ctx, func() error { return s.upgradeNodes(ctx) }), a.close(ctx))
	},
	Judge: nothingLost,
}

const oldAgents = 3

func (s *Scene) upgradeNodes(ctx context.Context) error {
	s.now()
	for _, m := range s.controls {
		if err := s.exchange(ctx, m, s.o.From, s.o.Trunkline); err != nil {
			return err
		}
	}
	for i, m := range s.relays {
		if err := s.exchange(ctx, m, s.o.From, s.o.Trunkline); err != nil {
			return err
		}
		if i == 0 {
			if err := s.mixed(ctx); err != nil {
				return err
			}
		}
	}
	m := s.relays[0]
	return errors.Join(s.exchange(ctx, m, s.o.Trunkline, s.o.From), s.exchange(ctx, m, s.o.From, s.o.Trunkline))
}

// mixed waits until relays of both programs carry requests for each other: the
// first one is new, and has just been started, and the others are old.
func (s *Scene) mixed(ctx context.Context) error {
	m := s.relays[0]
	for late := time.Now().Add(patience); ; {
		opened, err := s.metric(ctx, m, "trunkline_relay_peer_streams_opened_total")
		served := 0.0
		if err == nil {
			served, err = s.metric(ctx, m, "trunkline_relay_peer_streams_served_total")
		}
		if err == nil && opened > 0 && served > 0 {
			s.fact("%s, new, carried over %.0f streams to relays that were old, and served %.0f of theirs", m.name, opened, served)
			return nil
		}
		if time.Now().After(late) || !clock.Sleep(ctx, lookEvery) {
			return fmt.Errorf("relays of two versions side by side: %s opened %.0f streams to the others and served %.0f of theirs: %w", m.name, opened, served, cmp.Or(err, errIdle))
		}
	}
}

var errIdle = errors.New("that is not both ways")

// metric is a counter or gauge without labels of a node's.
func (s *Scene) metric(ctx context.Context, m *member, name string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, answersIn)
	defer cancel()
	return target.Metric(ctx, "http://"+s.at(m.node, portAdmin)+"/metrics", name)
}

// exchange ends a node's program and starts another in its place.
func (s *Scene) exchange(ctx context.Context, m *member, from, to string) error {
	if err := m.Stop(drainDeadline + startPatience); err != nil {
		return err
	}
	replace(m.Process, from, to)
	if err := m.Start(ctx); err != nil {
		return err
	}
	s.wait(ctx, lead)
	return nil
}

func replace(p *target.Process, from, to string) {
	if p.Path == from {
		p.Path = to
	}
	for i, arg := range p.Args {
		if arg == from {
			p.Args[i] = to
		}
	}
}
