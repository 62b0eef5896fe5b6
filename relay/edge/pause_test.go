package edge

import (
	"testing"
	"testing/synctest"
	"time"
)

// A farewell waits for a pause, not for ever, and not for who has left.
func TestAFarewellWaitsForAPause(t *testing.T) {
	f := func(what string, says, leaves, want time.Duration, bye bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			p, stop := &pump{}, make(chan struct{})
			p.touch()
			began := time.Now()
			if leaves > 0 {
				time.AfterFunc(leaves, func() { close(stop) })
			}
			if says > 0 {
				tick := time.NewTicker(says)
				defer tick.Stop()
				done := make(chan struct{})
				defer close(done)
				go func() {
					for {
						select {
						case <-tick.C:
							p.touch()
						case <-done:
							return
						}
					}
				}()
			}
			got := false
			select {
			case <-p.pauses(stop):
				got = true
			case <-stop:
			}
			if got != bye || time.Since(began) != want {
				t.Errorf("%s: %v after %v, want %v after %v", what, got, time.Since(began), bye, want)
			}
		})
	}
	f("says nothing", 0, 0, pause, true)
	f("says something now and then", 2*pause, 0, pause, true)
	f("never pauses", pause/2, 0, lastWords, true)
	f("leaves", pause/2, pause, pause, false)
}
