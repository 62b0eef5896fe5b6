package route

import (
	"time"
	"unique"

	"trunkline/internal/id"
)

// forgetAfter is how long routes of a bucket that came back without them are
// still believed: their relays are about to announce them again.
const forgetAfter = 30 * time.Second

// reset begins a snapshot. What it brings is marked with its number.
func (t *Table) reset(epoch string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch = unique.Make(epoch)
	t.snapshot++
	t.reading = true
}

// synced forgets what the bucket no longer has: at once if it is the bucket
// that had it, after a while if it came back empty. Own routes are not in
// doubt: the tunnels are here.
func (t *Table) synced() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reading, t.lacking = false, nil
	var gone []*word
	doubt := false
	for w := range t.words() {
		switch {
		case w.seen == t.snapshot:
		case w.kind.Value().relay == t.self:
			t.lacking = append(t.lacking, w.deviceID())
		case w.said.epoch == t.epoch:
			gone = append(gone, w)
		default:
			doubt = true
		}
	}
	t.forget(gone)
	if doubt {
		before := t.snapshot
		time.AfterFunc(forgetAfter, func() { t.forgetUnseen(before) })
	}
}

// forgetUnseen forgets what other relays have not said since a snapshot began.
func (t *Table) forgetUnseen(snapshot uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var gone []*word
	for w := range t.words() {
		if w.seen < snapshot && w.kind.Value().relay != t.self {
			gone = append(gone, w)
		}
	}
	t.forget(gone)
}

func (t *Table) forget(gone []*word) {
	for _, w := range gone {
		t.exchange(w.deviceID(), w, nil)
	}
}

// Lacking lists this relay's devices that the last snapshot of the bus lacked.
func (t *Table) Lacking() []id.Device {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lacking
}
