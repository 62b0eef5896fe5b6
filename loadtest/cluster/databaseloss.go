package cluster

import (
	"context"
	"syscall"
)

// databaseRestarted is what a fail-over looks like to control: every connection
// ends, and soon there is a database again.
var databaseRestarted = Failure{
	Name: "database-restarted", About: "PostgreSQL ends at once (SIGQUIT) and is started again, in the middle of activations",
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
	Name: "database-away", About: "PostgreSQL's network is cut, and comes back after a while", Cuts: true,
	Do: func(ctx context.Context, s *Scene) error {
		s.now()
		if err := s.net.cut(s.db.node, true); err != nil {
			return err
		}
		s.wait(ctx, s.Scale.DatabaseAway)
		return s.net.cut(s.db.node, false)
	},
	Judge: nothingLost,
}
