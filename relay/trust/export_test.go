package trust

import "trunkline/internal/id"

func (t *Trust) KeysForTest(v id.Visit) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.seats[v]
	s.pace.mu.Lock()
	defer s.pace.mu.Unlock()
	return len(s.pace.keys)
}
