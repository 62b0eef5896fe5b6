package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
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
	Judge: upgraded,
}

// upgraded is its goal. A relay of before may end WebSockets without a word, also those
// that come through one of the program under test. So these are judged only where there
// is none of before: whoever ended it, and whatever it came through, is of that program.
func upgraded(r *Row) {
	nothingLostBut(r, r.Crossed)
	if r.Unspoken > 0 {
		r.fault("%d WebSockets ended without a word from their relay while all relays were of the program under test", r.Unspoken)
	}
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
	m, from := s.relays[0], time.Now()
	err := s.exchange(ctx, m, s.o.Trunkline, s.o.From)
	s.alike = period{from, time.Now()} // who is of before has just begun at its end, and has ended nothing
	return errors.Join(err, s.exchange(ctx, m, s.o.From, s.o.Trunkline))
}

// mixed has relays of both programs carry requests for each other: the first one is
// new, and has just been started, and the others are old.
func (s *Scene) mixed(ctx context.Context) error {
	fresh, old := s.relays[0], s.relays[1]
	for _, way := range []struct{ by, at *member }{{fresh, old}, {old, fresh}} {
		if err := clock.Again(ctx, patience, lookEvery, func() error { return s.visitBy(ctx, way.by, way.at) }); err != nil {
			return fmt.Errorf("relays of two versions: a visit by %s to a PBX at %s: %w", way.by.name, way.at.name, err)
		}
	}
	s.fact("%s, new, and %s, old, carried visits for each other", fresh.name, old.name)
	return nil
}

// visitBy opens a visit, at one relay, to some PBX whose tunnel is at another.
func (s *Scene) visitBy(ctx context.Context, by, at *member) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	d, err := s.deviceAt(ctx, at)
	if err != nil {
		return err
	}
	start, err := s.API.StartVisit(ctx, controlapi.VisitRequest{Device: d})
	if err != nil {
		return err
	}
	defer func() { _ = s.API.EndVisit(context.WithoutCancel(ctx), start.Visit.ID) }() // else it ends as idle
	v, err := s.visitorAt(by, "https://"+string(start.Visit.Site)+"."+zone+":"+portSites)
	if err != nil {
		return err
	}
	defer v.CloseIdleConnections()
	resp, err := v.Redeem(ctx, s.Server, start.URL, start.Handover)
	if err != nil {
		return err
	}
	resp.Body.Close()
	_, err = v.Fetch(ctx, "/page/1/64")
	return err
}

// deviceAt is a PBX whose tunnel is at that relay.
func (s *Scene) deviceAt(ctx context.Context, m *member) (id.Device, error) {
	q := controlapi.DeviceQuery{PageQuery: controlapi.PageQuery{Limit: 200}}
	for {
		page, err := s.API.Devices(ctx, q)
		if err != nil {
			return "", err
		}
		for _, d := range page.Items {
			if d.Status == controlapi.StatusConnected && string(d.Relay) == m.name {
				return d.ID, nil
			}
		}
		if page.Next == "" {
			return "", errors.New("no PBX is there")
		}
		q.Cursor = page.Next
	}
}

// exchange ends a node's program and starts another in its place.
func (s *Scene) exchange(ctx context.Context, m *member, from, to string) error {
	if err := m.Stop(s.Scale.Drain.Deadline + startPatience); err != nil {
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
