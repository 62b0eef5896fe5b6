package trust

import (
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func (t *Trust) KeysForTest(v id.Visit) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.seats[v]
	s.pace.mu.Lock()
	defer s.pace.mu.Unlock()
	return len(s.pace.keys)
}

const KeptCookies = keptCookies

// Remembered is how many cookies are.
func (t *Trust) Remembered() (n int) {
	for i := range t.opened.shards {
		t.opened.shards[i].RLock()
		n += len(t.opened.shards[i].of)
		t.opened.shards[i].RUnlock()
	}
	return n
}

// Sweep is what is done every few seconds.
func (t *Trust) Sweep() {
	for _, v := range t.overdue() {
		t.End(v, fault.VisitEnded)
	}
}
