package cluster

import (
	"context"
	"time"
)

// secondWished is no failure: all PBXs of an account renew their pass, and open
// another tunnel each or end it, beside what their visitors do.
var secondWished = Failure{
	Name: "second-wished", About: "the account wishes for second tunnels, and then for none",
	Do: func(ctx context.Context, s *Scene) error {
		s.now()
		for _, on := range []bool{true, false} {
			began := time.Now()
			if err := s.secondTunnels(ctx, on); err != nil {
				return err
			}
			s.fact("%.1f s until all PBXs were as the account's wish, a second tunnel: %t", time.Since(began).Seconds(), on)
		}
		return nil
	},
	Judge: nothingLost,
}
