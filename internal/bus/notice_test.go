package bus_test

import (
	"testing"
	"time"

	"trunkline/internal/bus"
)

func TestNoticesReachAllWhoListen(t *testing.T) {
	b := control(t, bus.Config{})
	got := make(chan question, 8)
	for range 2 {
		stop, err := bus.Listen(b, "x", func(q question) { got <- q })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stop() })
	}
	if err := bus.Tell(b, "y", question{Name: "for others"}); err != nil {
		t.Fatal(err)
	}
	if err := bus.Tell(b, "x", []string{"no question"}); err != nil {
		t.Fatal(err)
	}
	if err := bus.Tell(b, "x", question{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case q := <-got:
			if q.Name != "acme" {
				t.Errorf("heard %+v", q)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("nothing was heard")
		}
	}
}
