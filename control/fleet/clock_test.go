package fleet_test

import (
	"testing"
	"time"

	"trunkline/internal/clocktest"
	"trunkline/internal/fault"
)

// Who ran into a limit waits for as long as they are told, whatever control's
// clock is set to meanwhile: no hour longer, and no moment less.
func TestAStepMovesNoThrottle(t *testing.T) {
	for name, step := range map[string]time.Duration{"an hour ahead": time.Hour, "an hour back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			now := time.Now()
			at := func(passed time.Duration) { w.clock = clocktest.Step(now.Add(passed), step) }
			w.clock = now
			for range 10 {
				_, err := w.SignIn(t.Context(), owner, "wrong", addr(1))
				wantCode(t, err, fault.WrongLogin)
			}
			at(29 * time.Second)
			_, err := w.SignIn(t.Context(), owner, password, addr(1))
			wantCode(t, err, fault.TooMany)
			at(31 * time.Second)
			if _, err := w.SignIn(t.Context(), owner, password, addr(1)); err != nil {
				t.Errorf("after the time that was said: %v", err)
			}
		})
	}
}
