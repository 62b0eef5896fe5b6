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
