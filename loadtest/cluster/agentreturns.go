package cluster

import "context"

// agentReturns is PBXs whose NAT forgets their connections: the relay sees an
// old tunnel that looks alive, and the agent comes with a new one.
var agentReturns = Failure{
	Name: "agent-returns", About: "a quarter of the tunnels break at the agent's end only; the relay sees nothing of it",
	Do: func(_ context.Context, s *Scene) error {
		pbxs := s.Generator.PBXs()
		stranded := pbxs[:len(pbxs)/4]
		s.part = newPart(stranded)
		s.now()
		for _, p := range stranded {
			p.Strand()
		}
		return nil
	},
	// What was sent into a broken tunnel before either end knew nobody can answer; what
	// only reads is asked for again.
	Judge: func(r *Row) {
		onlyThere(r)
		rightBytes(r)
		rightStatuses(r)
		back(r)
	},
}
