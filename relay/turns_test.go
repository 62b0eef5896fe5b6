package relay_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"trunkline/relay"
)

// Who is past TLS goes first, and then the newest.
func TestTurnsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := relay.NewTurns(1)
		turns.Take()
		var order []string
		wait := func(name string, take func()) {
			go func() { take(); order = append(order, name) }()
			synctest.Wait()
		}
		first := func() { turns.TakeFirst(t.Context().Done()) }
		wait("old", first)
		wait("new", first)
		wait("past 1", turns.Take)
		wait("past 2", turns.Take)
		wait("newest", first)
		for range 5 {
			turns.Give()
			synctest.Wait()
		}
		if want := []string{"past 1", "past 2", "newest", "new", "old"}; !slices.Equal(order, want) {
			t.Errorf("%v, not %v", order, want)
		}
		turns.Give()
		if !turns.TakeFirst(nil) {
			t.Error("the last turn is not free again")
		}
	})
}

// There is an end to waiting: being pushed out, or one's own.
func TestTurnsShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := relay.NewTurns(1)
		turns.Take()
		done := make(chan struct{})
		got := make(chan bool, relay.MaxFresh+1)
		pushed := make(chan bool, 1)
		go func() { pushed <- turns.TakeFirst(nil) }()
		synctest.Wait()
		for range relay.MaxFresh - 1 {
			go func() { got <- turns.TakeFirst(done) }()
		}
		synctest.Wait()
		if len(pushed) != 0 || turns.Waiting() != relay.MaxFresh {
			t.Fatalf("%d wait, and the oldest has been told %v", turns.Waiting(), len(pushed) > 0)
		}
		go func() { got <- turns.TakeFirst(done) }()
		synctest.Wait()
		if len(pushed) != 1 || <-pushed {
			t.Error("the oldest still waits")
		}
		close(done)
		for range relay.MaxFresh {
			if <-got {
				t.Error("who has gone has a turn")
			}
		}
		if turns.Give(); turns.Waiting() != 0 || !turns.TakeFirst(nil) {
			t.Error("a turn is lost")
		}
	})
}
