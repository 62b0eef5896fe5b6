package trust

import (
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/token"
)

// instant is nanoseconds since this Trust was made, on the monotonic clock. Visits
// that are open here go by it: a step of the machine's clock neither ends them nor
// makes them last. Cookies and what control says have times of day, and are
// measured by this machine's clock once, when they come.
type instant int64

func (t *Trust) instant(now time.Time) instant { return instant(now.Sub(t.began)) }

// instantOf is when at is, a time of day.
func (t *Trust) instantOf(at, now time.Time) instant {
	return t.instant(now) + instant(at.Sub(now.Round(0)))
}

// wall is the time of day of i by today's clock.
func (t *Trust) wall(i instant, now time.Time) time.Time {
	return now.Round(0).UTC().Add(time.Duration(i - t.instant(now)))
}

// overdue says whether a visit is past its time or idle, by the code of that; ""
// if it is neither.
func (s *seat) overdue(now instant) fault.Code {
	switch {
	case now > s.ends:
		return fault.VisitExpired
	case now > instant(s.seen.Load())+instant(s.visit.Idle):
		return fault.VisitIdle
	}
	return ""
}

// revoked is a revocation, in little memory: each visit that ended leaves one.
type revoked struct {
	code  fault.Code
	at    int64 // microseconds since 1970: passes issued until then are void
	until instant
}

// longest is longer than any revocation has to hold: a pass's life.
const longest = 366 * 24 * time.Hour

// revokeLocked keeps r for as long as it was to hold when it was made, and longer,
// rather than until a time of day: by a clock that is ahead it would be forgotten,
// and what it revokes be good again when the clock is set right.
func (t *Trust) revokeLocked(key string, r bus.Revocation) {
	keep := min(max(r.Until.Sub(r.At), 0), longest) + token.Astray
	t.revocations[key] = revoked{r.Code, r.At.UnixMicro(), t.instant(t.o.Now()) + instant(keep)}
}
