package trust

import (
	"context"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// Control withdraws the keys of visits when its database was restored: the
// visits of before are none there. Their cookies open nothing from then on; what
// they have open ends here, a few at a time, since each end is told to a device, to
// control and to whatever the visit has under way.
const (
	leaveAtOnce = 25
	leaveEvery  = 50 * time.Millisecond
)

// sealedBy notes the key of a cookie of the visit; the newest counts.
func (s *seat) sealedBy(k token.SealKey) {
	for {
		was := s.sealed.Load()
		if was != nil && !k.NotBefore.After(was.NotBefore) || s.sealed.CompareAndSwap(was, &k) {
			return
		}
	}
}

// withdrawn notes whose visits end with a key. Who is seated later with a cookie of
// it finds that by knows.
func (t *Trust) withdrawn(kid string) {
	t.mu.Lock()
	for v, s := range t.seats {
		if k := s.sealed.Load(); k != nil && k.ID == kid {
			t.leaving = append(t.leaving, v)
		}
	}
	t.mu.Unlock()
	select {
	case t.leave <- struct{}{}:
	default:
	}
}

// knows ends the visit of a seat that was made while its key was withdrawn.
func (t *Trust) knows(s *seat, kid string) *fault.Error {
	if _, ok := t.keys.Load().sealKey(kid); ok {
		return nil
	}
	t.End(s.visit.ID, fault.Restored)
	return fault.Over(fault.Restored)
}

func (t *Trust) endWithdrawn(ctx context.Context) error {
	tick := time.NewTicker(leaveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.leave:
		}
		for some := t.takeLeaving(); len(some) > 0; some = t.takeLeaving() {
			for _, v := range some {
				t.End(v, fault.Restored)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	}
}

func (t *Trust) takeLeaving() []id.Visit {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.leaving), leaveAtOnce)
	some := t.leaving[:n:n]
	t.leaving = t.leaving[n:]
	return some
}

// goneVisit is what the browser of a visit is told whose key was withdrawn; nil if
// cookie is no such one.
func (t *Trust) goneVisit(cookie string, ring *keyring, site id.Site, now time.Time) *fault.Error {
	v, _ := token.OpenVisit(cookie, ring.goneKey, now)
	if v.ID == "" || v.Site != site {
		return nil
	}
	if f := t.endOf(v.ID); f != nil {
		return f
	}
	return fault.Over(fault.Restored)
}
