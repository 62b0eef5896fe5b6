package cluster

import "context"

// agentReturns is PBXs whose NAT forgets their connections: the relay sees an
// old tunnel that looks alive, and the agent comes with a new one.
var agentReturns = Failure{
	Name: "agent-returns", About: "a quarter of the tunnels break at the agent's end only; the relay sees nothing of it",
	Do: func(_ context.Context, s *Scene) error {
		pbxs := s.Generator.PBXs()
		s.now()
		for _, p := range pbxs[:len(pbxs)/4] {
			p.Strand()
		}
		return nil
	},
	Judge: func(r *Row) {
		rightBytes(r)
		rightStatuses(r)
		back(r)
	},
}
