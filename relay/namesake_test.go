package relay

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/internal/bus"
)

func TestNamesake(t *testing.T) {
	lease := func(started time.Time, rev uint64) bus.Event[bus.Lease] {
		return bus.Event[bus.Lease]{Kind: bus.Put, Key: "relay-1", Rev: rev, Value: bus.Lease{Relay: "relay-1", Addrs: []string{"10.0.0.1:8443"}, Started: started}}
	}
	synced := bus.Event[bus.Lease]{Kind: bus.Synced}
	f := func(what string, do func(t *testing.T, n *namesake, now time.Time)) {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Now()
				do(t, newNamesake("relay-1", now), now)
			})
		})
	}
	apply := func(t *testing.T, n *namesake, e bus.Event[bus.Lease]) {
		t.Helper()
		if err := n.apply(e); err != nil {
			t.Error(err)
		}
	}
	f("without a lease of the name the relay is alone at once", func(t *testing.T, n *namesake, _ time.Time) {
		apply(t, n, synced)
		if !n.isAlone() {
			t.Error("it waits")
		}
	})
	f("a lease that an earlier life left is not renewed", func(t *testing.T, n *namesake, now time.Time) {
		apply(t, n, lease(now.Add(-time.Hour), 7))
		apply(t, n, synced)
		if n.isAlone() {
			t.Error("it did not wait")
		}
		time.Sleep(namesakeTime + time.Second)
		if !n.isAlone() {
			t.Error("it waits on")
		}
	})
	f("one that is renewed is another relay's, and the later relay yields", func(t *testing.T, n *namesake, now time.Time) {
		apply(t, n, lease(now.Add(-time.Hour), 7))
		apply(t, n, synced)
		if err := n.apply(lease(now.Add(-time.Hour), 8)); err == nil || !strings.Contains(err.Error(), "10.0.0.1:8443") {
			t.Errorf("error %v", err)
		}
		time.Sleep(namesakeTime + time.Second) // what it had planned comes to its end
	})
	f("the earlier relay stays", func(t *testing.T, n *namesake, now time.Time) {
		apply(t, n, synced)
		apply(t, n, lease(now, 7)) // its own
		apply(t, n, lease(now.Add(time.Hour), 8))
		apply(t, n, lease(now.Add(time.Hour), 9))
	})
	f("the later relay yields with a clock that is behind too", func(t *testing.T, n *namesake, now time.Time) {
		apply(t, n, lease(now.Add(time.Hour), 7))
		apply(t, n, synced)
		if err := n.apply(lease(now.Add(time.Hour), 8)); err == nil {
			t.Error("it takes the name of a relay that lives")
		}
		time.Sleep(namesakeTime + time.Second)
	})
	f("of two that came at once one yields", func(t *testing.T, n *namesake, now time.Time) {
		apply(t, n, synced)
		apply(t, n, lease(now.Add(-time.Millisecond), 7))
		if err := n.apply(lease(now.Add(-time.Millisecond), 8)); err == nil {
			t.Error("both stay")
		}
	})
	f("the same lease seen again, in another bucket, is no renewal", func(t *testing.T, n *namesake, now time.Time) {
		apply(t, n, lease(now.Add(-time.Hour), 7))
		apply(t, n, synced)
		apply(t, n, bus.Event[bus.Lease]{Kind: bus.Reset})
		apply(t, n, lease(now.Add(-time.Hour), 9))
		time.Sleep(namesakeTime + time.Second)
	})
}
