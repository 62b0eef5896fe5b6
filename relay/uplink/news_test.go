package uplink_test

import (
	"testing"
	"time"

	"trunkline/internal/id"
)

// Agents have the time that control gives them all, wherever they are, to ask for
// another pass; and where it gives none, a second at least.
func TestNewsAreHeardInTurn(t *testing.T) {
	w := newWorld(t, nil)
	one, two := id.NewDevice(), id.NewDevice()
	a, b := w.connect(one), w.connect(two)
	hears := func(x *agent, want time.Duration) {
		t.Helper()
		select {
		case got := <-x.renew:
			if got != want {
				t.Errorf("a pass is to be renewed within %v, want %v", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Error("the agent was not told")
		}
	}
	w.News("", "", 40*time.Second) // the passes of this test are of no account
	hears(a, 40*time.Second)
	hears(b, 40*time.Second)
	w.News("", two, 0)
	hears(b, time.Second)
	if len(a.renew) > 0 {
		t.Error("another device's agent was told too")
	}
}
