package cluster

import (
	"context"
	"syscall"
	"time"
)

// databaseRestarted is a database that ends: every connection does, and soon it is
// there again.
var databaseRestarted = Failure{
	Name: "database-restarted", About: "PostgreSQL ends at once (SIGQUIT) and is started again, in the middle of activations", Mute: true,
	Do: func(ctx context.Context, s *Scene) error {
		return s.activating(ctx, func() error {
			s.now()
			s.db.Signal(syscall.SIGQUIT)
			<-s.db.Ended()
			return s.db.Start(ctx)
		})
	},
	Judge: nothingLost,
}

// databaseAway is a database that nobody reaches, for long.
var databaseAway = Failure{
	Name: "database-away", About: "PostgreSQL's network is cut, and comes back after a while", Cuts: true, Mute: true,
	Do: func(ctx context.Context, s *Scene) error {
		revoked, err := s.endedVisit(ctx)
		if err != nil {
			return err
		}
		s.now()
		if err := s.net.cut(s.db.node, true); err != nil {
			return err
		}
		s.wait(ctx, s.Scale.DatabaseAway)
		if err := s.net.cut(s.db.node, false); err != nil {
			return err
		}
		return s.stillHolds(ctx, revoked, "PostgreSQL was reached again")
	},
	Judge: nothingLost,
}

// noticedAfter is how long nobody makes the standby the database: what watches over
// both asks some times before it believes that one is gone.
const noticedAfter = 5 * time.Second

// databaseFailsOver is the loss of the machine of the database, for good. It is the
// last that happens: there is no standby after it.
var databaseFailsOver = Failure{
	Name: "database-fails-over", About: "PostgreSQL's machine is lost in the middle of activations, and its standby is made the database", Mute: true,
	Do: func(ctx context.Context, s *Scene) error {
		return s.activating(ctx, func() error {
			s.now()
			if err := s.lose(s.db); err != nil {
				return err
			}
			s.wait(ctx, noticedAfter)
			if err := s.follower.server.Promote(); err != nil {
				return err
			}
			s.wait(ctx, noticedAfter) // activations go on
			return nil
		})
	},
	Judge: nothingLost,
}

// lose has a machine answer nobody any more, where nodes have a network of their
// own, and ends what ran on it: at once, and without a word to the disk.
func (s *Scene) lose(m *member) error {
	if _, flat := s.net.(loopback); !flat {
		if err := s.net.cut(m.node, true); err != nil {
			return err
		}
	}
	m.Signal(syscall.SIGQUIT)
	<-m.Ended()
	return nil
}
