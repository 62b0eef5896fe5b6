package cluster

import "context"

// relayKilled is a machine that dies. It comes back when its devices are
// elsewhere.
var relayKilled = Failure{
	Name: "relay-killed", About: "kill -9 of one relay of three; started again after a while",
	Do: func(ctx context.Context, s *Scene) error {
		m := s.relays[0]
		s.now()
		m.Kill()
		s.wait(ctx, s.Scale.Cut)
		return m.Start(ctx)
	},
	Judge: func(r *Row) {
		if n := r.lost() - r.Before; n > 0 {
			r.fault("%d requests were lost beyond the %d that were under way", n, r.Before)
		}
		rightBytes(r)
		rightStatuses(r)
		back(r)
	},
}
