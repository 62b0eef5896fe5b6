package route

import (
	"iter"

	"trunkline/internal/id"
)

// Of one device several relays may have said something. The words are a list
// whose first is the one that counts, and the only one that readers see.

// words are all of them. The table must not change meanwhile.
func (t *Table) words() iter.Seq[*word] {
	return func(yield func(*word) bool) {
		t.devices.Range(func(_ id.Device, w *word) bool {
			for ; w != nil; w = w.next {
				if !yield(w) {
					return false
				}
			}
			return true
		})
	}
}

// of is what relay r said of d, or nil.
func (t *Table) of(r id.Relay, d id.Device) *word {
	w, _ := t.devices.Load(d)
	for w != nil && w.kind.Value().relay != r {
		w = w.next
	}
	return w
}

// set puts a word in the place of what its relay said before.
func (t *Table) set(w *word) {
	was := t.of(w.kind.Value().relay, w.deviceID())
	if was != nil && w.rises(was) {
		was.seen = w.seen
		return
	}
	if was != nil && w.follows(was) {
		w.born = was.born
	}
	t.exchange(w.deviceID(), was, w)
}

// drop takes a word out if it is the one that is meant.
func (t *Table) drop(r id.Relay, d id.Device, when func(*word) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.of(r, d); w != nil && when(w) {
		t.exchange(d, w, nil)
	}
}

// exchange takes one word on d out and another one in, either of which may be
// nil, and shows readers the best.
func (t *Table) exchange(d id.Device, out, in *word) {
	old, _ := t.devices.Load(d)
	best := in
	if best != nil {
		best.next = nil
	}
	for w := old; w != nil; {
		next := w.next
		switch {
		case w == out:
		case best == nil || t.better(w, best):
			best, w.next = w, best
		default:
			w.next, best.next = best.next, w
		}
		w = next
	}
	if best != old {
		t.publish(d, old, best)
	}
}

func (t *Table) publish(d id.Device, old, best *word) {
	if best == nil {
		t.devices.Delete(d)
		t.leave(old.siteID(), d)
		return
	}
	t.devices.Store(best.deviceID(), best)
	if old != nil && old.siteID() != best.siteID() {
		t.leave(old.siteID(), d) // it joined a pair, or left one
	}
	t.join(best)
}

// better: a tunnel that is up beats one that is down; of those that are down the one
// that went later, whoever told of it last: a bucket that was lost gets old words anew.
// Then a first one beats a second; then the newer bucket, then the later birth. A tunnel
// of our own that the bus has not yet numbered is the newest there is.
//
// Birth is the revision that first told of a tunnel, as far as is known here: a
// word that its relay repeats or changes later makes it no newer. So it is told
// from a tunnel that followed it, however late the words of a relay arrive that
// was cut off.
func (t *Table) better(a, b *word) bool {
	ka, kb := a.kind.Value(), b.kind.Value()
	if up := ka.down == ""; up != (kb.down == "") {
		return up
	} else if !up && (a.since != b.since || a.nano != b.nano) {
		return a.since > b.since || a.since == b.since && a.nano > b.nano
	}
	if ka.second != kb.second {
		return kb.second
	}
	if a.born.rev == 0 || b.born.rev == 0 {
		return a.born.rev == 0
	}
	if a.born.epoch != b.born.epoch {
		return a.born.epoch == t.epoch
	}
	return a.born.rev > b.born.rev
}
