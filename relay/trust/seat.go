package trust

import (
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// seat finds or makes v's seat, unless v was revoked.
func (t *Trust) seat(v token.Visit) (*seat, *fault.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.endOfLocked(v.ID); f != nil {
		return nil, f
	}
	s, ok := t.seats[v.ID]
	if !ok {
		s = t.newSeat(v, t.o.Now())
		t.seats[v.ID] = s
		t.metrics.visits.Set(float64(len(t.seats)))
	}
	return s, nil
}

// endOf is what a visit's browser is told that was ended; nil if it was not.
func (t *Trust) endOf(v id.Visit) *fault.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.endOfLocked(v)
}

// Ended is the fault of a visit that somebody has ended, as far as this relay knows.
func (t *Trust) Ended(v id.Visit) error {
	if f := t.endOf(v); f != nil {
		return f
	}
	return nil
}

func (t *Trust) endOfLocked(v id.Visit) *fault.Error {
	if r, revoked := t.revocations["visit."+string(v)]; revoked {
		return fault.Over(r.code)
	}
	return nil
}

// Running is the visit, if this relay serves it.
func (t *Trust) Running(v id.Visit) (token.Visit, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.seats[v]
	if !ok {
		return token.Visit{}, false
	}
	return s.visit, true
}

// newSeat makes the funcs that every request of the visit is given, once.
func (t *Trust) newSeat(v token.Visit, now time.Time) *seat {
	s := &seat{visit: v, made: now.UTC().Truncate(time.Microsecond), ended: make(chan struct{}), ends: t.instantOf(v.Expires, now)}
	s.seen.Store(int64(min(t.instantOf(v.Seen, now), t.instant(now))))
	s.guest = Guest{
		Visit: v, Ended: s.ended, Why: s.endedBy,
		Count: func(in, out int64) {
			s.in.Add(in)
			s.out.Add(out)
		},
		Busy: func() { s.sawAt(t.instant(t.o.Now())) },
		Spoke: func(key uint64) {
			if now := t.o.Now(); s.pace.operation(Asked, key, now) {
				s.sawAt(t.instant(now))
			}
		},
	}
	if v.Device == "" {
		s.guest.Served = s.served
	}
	return s
}

// end closes the seat for code, once.
func (s *seat) end(code fault.Code) {
	s.why.Store(&code)
	close(s.ended)
}

// endedBy is what ended it, "" while it goes on.
func (s *seat) endedBy() fault.Code {
	if c := s.why.Load(); c != nil {
		return *c
	}
	return ""
}

func (s *seat) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *seat) served(d id.Device) (before id.Device) {
	if was := s.shown.Swap(&d); was != nil {
		before = *was
	}
	return before
}

// sawAt never goes back.
func (s *seat) sawAt(at instant) {
	for {
		seen := s.seen.Load()
		if int64(at) <= seen || s.seen.CompareAndSwap(seen, int64(at)) {
			return
		}
	}
}
