package trust

import (
	"context"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// A visit goes through several relays, and each sees a part of what its visitor does.
// Cookies carry what was seen, but are sealed anew with an answer only: who writes by a
// WebSocket for long has an old one, and who comes here no more says nothing here. So
// before a relay takes a visit for idle it asks the others.
const (
	maxAsking = 32 // visits at once
	// maxBarred bounds what other relays have this one bar, to what control may have
	// revoked at a time; its word comes anyway.
	maxBarred = 1_000_000
	// askAgain is how soon others are asked anew for a visit that none of them served:
	// a stale cookie in a page that polls costs them no more.
	askAgain = 5 * time.Second
)

// Seen is for how long a visit that this relay serves has been idle here.
func (t *Trust) Seen(v id.Visit) (idle time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.seats[v]
	if !ok {
		return 0, false
	}
	return time.Duration(t.instant(t.o.Now()) - instant(s.seen.Load())), true
}

// Revive asks the other relays for the visit of a cookie that is too old, and reports
// whether AdmitVisit takes it now. It waits.
func (t *Trust) Revive(ctx context.Context, cookie string) bool {
	if t.o.Elsewhere == nil || !t.told.Load() {
		return false
	}
	now := t.o.Now()
	v, err := token.OpenVisit(cookie, t.keys.Load().sealKey, now)
	if fault.CodeOf(err) != fault.VisitIdle || t.endOf(v.ID) != nil {
		return false
	}
	t.mu.Lock()
	at, asked := t.unknown[v.ID]
	t.mu.Unlock()
	if asked && t.instant(now)-at < instant(askAgain) {
		return false
	}
	seen, ok := t.ask(ctx, v.ID, v.Idle)
	if !ok || t.instant(now) > seen+instant(v.Idle) {
		t.mu.Lock()
		t.unknown[v.ID] = t.instant(t.o.Now())
		t.mu.Unlock()
		return false
	}
	v.Seen = t.wall(seen, t.o.Now())
	s, f := t.seat(v)
	if f != nil {
		return false
	}
	s.sawAt(seen)
	return true
}

// WhyOver is what ended a visit that this relay does not serve any more, as far as it
// knows: where nobody ended it, it was idle here.
func (t *Trust) WhyOver(v id.Visit) fault.Code {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.revocations["visit."+string(v)]; ok {
		return r.code
	}
	return fault.VisitIdle
}

// EndedElsewhere takes another relay's word that somebody has ended a visit: its cookie
// opens nothing here either, before control has said so.
func (t *Trust) EndedElsewhere(v id.Visit, code fault.Code) {
	key, now := "visit."+string(v), t.o.Now()
	t.mu.Lock()
	if _, known := t.revocations[key]; !known && len(t.revocations) < maxBarred {
		t.revokeLocked(key, bus.Revocation{Code: code, At: now, Until: now.Add(token.VisitLife)})
	}
	t.mu.Unlock()
	t.End(v, code)
}

// lookElsewhere asks the other relays for a visit that is idle here, and notes what they
// saw.
func (t *Trust) lookElsewhere(ctx context.Context, v id.Visit) {
	t.mu.Lock()
	s := t.seats[v]
	t.mu.Unlock()
	if s == nil {
		return
	}
	if seen, ok := t.ask(ctx, v, s.visit.Idle); ok {
		s.sawAt(seen)
	}
}

// ask is Elsewhere, once for all who ask at a time. What others saw is rather put too
// early, by how long the answer took: two relays must not make each other believe that
// a visit goes on.
func (t *Trust) ask(ctx context.Context, v id.Visit, limit time.Duration) (seen instant, ok bool) {
	type answer struct {
		seen instant
		ok   bool
	}
	a, _, _ := t.asking.Do(string(v), func() (any, error) {
		began := t.instant(t.o.Now())
		idle, ok := t.o.Elsewhere(context.WithoutCancel(ctx), v, limit)
		return answer{began - instant(idle), ok}, nil
	})
	return a.(answer).seen, a.(answer).ok
}
