package cluster

import (
	"context"
	"errors"
	"slices"

	"trunkline/loadtest/target"
)

// upgrade replaces the program of every node while the others still have the one
// before, in the order that docs/upgrades.md gives, and takes the first relay back
// once.
var upgrade = Failure{
	Name: "upgrade", About: "controls and then relays, one after the other: SIGTERM, and started again with the program under test; one relay back and forth",
	Do: func(ctx context.Context, s *Scene) error {
		if s.o.From == "" {
			return errors.New("upgrade from what? Give --from")
		}
		s.now()
		for _, m := range slices.Concat(s.controls, s.relays) {
			if err := s.exchange(ctx, m, s.o.From, s.o.Trunkline); err != nil {
				return err
			}
		}
		m := s.relays[0]
		return errors.Join(s.exchange(ctx, m, s.o.Trunkline, s.o.From), s.exchange(ctx, m, s.o.From, s.o.Trunkline))
	},
	Judge: nothingLost,
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
