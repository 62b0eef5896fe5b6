package fleet

import "time"

// busDoubt is how long the bus may tell nothing before what it told last is no
// longer taken for what is. It is less than a relay's silence has to last.
const busDoubt = 6 * time.Second

// SetHeard says when control and the bus last reached each other, both ways. From
// then on the statuses of devices are known; when that is too long ago they are
// not, and who watches is sent to look again.
func (f *Fleet) SetHeard(at time.Time) {
	f.metrics.busSilence.Set(max(0, f.now().Sub(at).Seconds()))
	if f.presence.setHeard(at) {
		f.watchers.dismiss(func(*watcher) bool { return true })
	}
}

// setHeard reports whether statuses have become known or unknown.
func (p *presence) setHeard(at time.Time) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	blind := now.Sub(at) > busDoubt
	switch {
	case blind && p.blind.IsZero():
		p.blind = at.UTC()
		return true
	case !blind && !p.blind.IsZero():
		if p.settled {
			p.dim = time.Time{}
		} else { // the bucket is read anew: not all relays have named theirs
			p.dim = p.blind
		}
		p.blind, p.back = time.Time{}, now
		for _, s := range p.relays {
			if s.lease != leaseLost && s.lease != leaseLive {
				s.at = now // its silence begins to count
			}
		}
		return true
	}
	return false
}

// unknownLocked is since when nothing is known of a device whose status was st
// last; e is nil if no relay has named it.
func (p *presence) unknownLocked(st Status, e *entry) time.Time {
	switch {
	case st == StatusNotActivated: // control itself would know
		return time.Time{}
	case !p.blind.IsZero():
		return p.blind
	case e != nil && !e.seen, e == nil && st == StatusConnected:
		return p.dim
	}
	return time.Time{}
}

// blindSince is zero while the bus is heard.
func (p *presence) blindSince() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.blind
}

// backSince is when the bus was heard again; zero: it always was.
func (p *presence) backSince() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.back
}
