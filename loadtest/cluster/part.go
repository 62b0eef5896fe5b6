package cluster

import (
	"cmp"
	"time"

	"trunkline/loadtest/fleet"
)

// part is what fails: a relay with the tunnels that are there, or some tunnels. Nobody
// can answer what was on its way through that; the zero part holds nothing up.
type part struct {
	how   how
	relay string
	holds map[uint32]bool // PBXs whose tunnel was there, by their content
}

// how it fails.
type how int

const (
	silenced how = iota // nobody is told, and what is sent to it later is lost, too
	killed              // the kernel tells whoever has a connection to it
)

// newPart is the tunnels of these PBXs.
func newPart(of []*fleet.PBX) part {
	p := part{holds: make(map[uint32]bool)}
	for _, x := range of {
		p.holds[x.Content()] = true
	}
	return p
}

// with is a relay with the tunnels that are there now.
func (s *Scene) with(m *member, how how) part {
	var there []*fleet.PBX
	for _, p := range s.Generator.PBXs() {
		if string(p.Relay()) == m.name {
			there = append(there, p)
		}
	}
	p := newPart(there)
	p.how, p.relay = how, m.name
	return p
}

func (p part) none() bool { return p.holds == nil }

func (p part) name() string {
	if p.none() {
		return ""
	}
	return cmp.Or(p.relay, "the broken tunnels")
}

// spread is how many seconds after a tunnel is there all relays know, and send nothing
// to where it was.
const spread = 1

// unseen is for how many seconds a visitor may go on with a kept connection whose
// relay is dead: the kernel says at once that it ended, and what is left is until the
// visitor's process comes to run, a second at most.
func unseen(still time.Duration) float64 {
	return min(still+100*time.Millisecond, time.Second).Seconds()
}

// underWay says whether what was lost was on its way through a relay that was killed,
// or was sent on what had ended with it, before the visitor could have seen that. Where
// no connection was there yet nobody knows which relay it would have led to.
func (p part) underWay(l Loss, kept bool, seen float64) bool {
	switch {
	case l.Begun <= 0:
		return l.Held || l.Entry == p.relay || l.Entry == ""
	case l.Begun < seen:
		return l.Entry == p.relay || kept && l.Held
	}
	return false
}

// onlyThere is the goal where nobody is told that something failed: what was sent into
// that is lost, until somebody notices, and nothing else. What only reads and came to
// another relay is asked for again.
func onlyThere(r *Row) {
	if r.Repeatable > 0 {
		r.fault("%d requests that only read and did not come to %s itself were lost, and none may be", r.Repeatable, r.Part)
	}
	if n := r.elsewhere(); n > 0 {
		r.fault("%d requests were lost that neither came to %s nor went through it while nobody knew, and none may be", n, r.Part)
	}
}

// elsewhere is how many were lost that had nothing to do with what failed.
func (r *Row) elsewhere() int64 { return r.lost() - r.There - r.Through - r.Repeatable }
