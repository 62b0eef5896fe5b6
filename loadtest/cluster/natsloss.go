package cluster

import (
	"context"
	"os"
)

// natsNodeKilled takes one node of three: what is on the bus is on the others.
var natsNodeKilled = Failure{
	Name: "nats-node-killed", About: "kill -9 of one nats-server of three; started again after a while",
	Do: func(ctx context.Context, s *Scene) error {
		m := s.nats[0]
		s.now()
		m.Kill()
		s.wait(ctx, s.Scale.Cut)
		return m.Start(ctx)
	},
	Judge: nothingLost,
}

// natsGone takes all of NATS. It comes back with an empty memory, and knows from
// its disk which buckets there were.
var natsGone = Failure{
	Name: "nats-gone", About: "kill -9 of all nats-servers; started again after a while, their memory empty",
	Do:    func(ctx context.Context, s *Scene) error { return s.withoutNATS(ctx, func() error { return nil }) },
	Judge: nothingLost,
}

// natsNew takes its disk too.
var natsNew = Failure{
	Name: "nats-new", About: "kill -9 of all nats-servers; started again after a while, memory and disk empty",
	Do: func(ctx context.Context, s *Scene) error {
		return s.withoutNATS(ctx, func() error {
			return all(s.nats, func(m *member) error { return os.RemoveAll(s.path(m.name)) })
		})
	},
	Judge: nothingLost,
}

func (s *Scene) withoutNATS(ctx context.Context, meanwhile func() error) error {
	revoked, err := s.endedVisit(ctx)
	if err != nil {
		return err
	}
	s.now()
	_ = all(s.nats, func(m *member) error { m.Kill(); return nil })
	s.wait(ctx, s.Scale.NATSAway)
	if err := meanwhile(); err != nil {
		return err
	}
	if err := all(s.nats, func(m *member) error { return m.Start(ctx) }); err != nil {
		return err
	}
	return s.stillHolds(ctx, revoked)
}
