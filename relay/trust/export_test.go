package trust

import (
	"context"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// Learn gives a Trust that does not run its keys.
func (t *Trust) Learn(pass token.PassKey, seal token.SealKey) {
	t.keys.Store(&keyring{pass: map[string]token.PassKey{pass.ID: pass}, seal: map[string]token.SealKey{seal.ID: seal}})
}

// Hear is what the bus says of revocations.
func (t *Trust) Hear(e bus.Event[bus.Revocation]) { t.applyRevocation(e) }

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
func (t *Trust) Sweep() { t.endOverdue(context.Background()) }
