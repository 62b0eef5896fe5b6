// Package standby decides about hot-standby pairs: whether two devices are
// one, and which of the two serves. It is pure: values in, values out.
//
// A PBX's own claim is all there is to go by. Claims are numbered by their
// PBX, and a later one has the higher number; so a claim of the old active
// that was long on its way loses against the new active's.
package standby

import "trunkline/internal/id"

// Facts are what one PBX says of its pair.
type Facts struct {
	Enabled bool
	Type    string // primary or secondary
	Role    string // active or standby
	Peer    id.Serial
	Claim   uint64 // numbers the changes of Role
}

// Member is one of two devices.
type Member struct {
	Device id.Device
	Serial id.Serial
	Facts
}

// Bond is how two devices stand to each other.
type Bond int

const (
	None Bond = iota // nothing joins them
	Half             // one names the other, which names nobody
	Full             // each names the other
)

// BondOf two devices of one account.
func BondOf(a, b Member) Bond {
	ab, ba := a.names(b), b.names(a)
	switch {
	case ab && ba:
		return Full
	case ab && !b.Enabled, ba && !a.Enabled:
		return Half
	}
	return None
}

func (m Member) names(o Member) bool {
	return m.Enabled && o.Serial != "" && m.Peer == o.Serial && m.Serial != o.Serial
}

// State of a pair. The zero value is a pair that nobody has spoken for.
type State struct {
	Active id.Device
	Epoch  uint64 // grows with each change of Active
	Claim  uint64 // by which Active serves
	Alarm  string // one of the Alarm constants, or ""
}

// What can be wrong with a pair.
const (
	AlarmTwoActive  = "two_active"  // both say that they are active
	AlarmNoneActive = "none_active" // neither does
	AlarmSameType   = "same_type"   // both are primary, or both secondary
)

// Elect gives the state that follows from what the two members say now. The
// same facts again change nothing.
func Elect(s State, a, b Member) State {
	if s.Active != a.Device && s.Active != b.Device {
		s.Active, s.Claim = "", 0 // it has left
	}
	best, found := choose(s, a, b)
	if found && best.Device != s.Active && (s.Active == "" || best.Claim > s.Claim) {
		s.Active, s.Claim = best.Device, best.Claim
		s.Epoch++
	}
	if s.Active == "" { // somebody must
		s.Active = a.Device
		if before(b, a) {
			s.Active = b.Device
		}
		s.Epoch++
	}
	for _, m := range []Member{a, b} {
		if m.Device == s.Active && m.active() {
			s.Claim = max(s.Claim, m.Claim)
		}
	}
	s.Alarm = alarm(a, b)
	return s
}

// before: where one of the two is no pair's, the site is its own, and whoever
// joined it gets no visitors by that. The primary is what was bought to serve.
func before(a, b Member) bool {
	if a.Enabled != b.Enabled {
		return b.Enabled
	}
	return a.Type == "primary" && b.Type != "primary"
}

// choose picks the newest claim to be active; of equal ones the one that
// serves already. One alone claims nothing: it would take another's visitors
// by naming it.
func choose(s State, a, b Member) (best Member, found bool) {
	if !a.Enabled || !b.Enabled {
		return best, false
	}
	for _, m := range []Member{a, b} {
		if !m.active() {
			continue
		}
		if !found || m.Claim > best.Claim || m.Claim == best.Claim && m.Device == s.Active {
			best, found = m, true
		}
	}
	return best, found
}

func (m Member) active() bool { return m.Enabled && m.Role == "active" }

func alarm(a, b Member) string {
	both := a.Enabled && b.Enabled
	switch {
	case a.active() && b.active():
		return AlarmTwoActive
	case both && a.Type == b.Type:
		return AlarmSameType
	case both && !a.active() && !b.active():
		return AlarmNoneActive
	}
	return ""
}
