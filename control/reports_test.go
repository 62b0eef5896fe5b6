package control

import (
	"context"
	"slices"
	"sync"
	"testing"

	"go.uber.org/zap/zaptest"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// A report is of the relay that the bus let ask, whatever name it has written in; in
// the old way nobody is believed who is known to use the new one.
func TestReportsAreOfWhoMakesThem(t *testing.T) {
	b, err := bus.Open(t.Context(), bus.Config{}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var mu sync.Mutex // guards taken
	var taken []id.Relay
	stop, err := takeReports(b, func(_ context.Context, e bus.VisitEvent) error {
		mu.Lock()
		defer mu.Unlock()
		taken = append(taken, e.Relay)
		return nil
	}, func(r id.Relay) bool { return r == "new" })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	old := func(r id.Relay) error {
		_, err := bus.Call[bus.VisitEvent, struct{}](t.Context(), b, bus.SubjectVisitEvent, bus.VisitEvent{Visit: id.NewVisit(), Relay: r, Kind: "ended"})
		return err
	}
	if _, err := bus.CallAs[bus.VisitEvent, struct{}](t.Context(), b, "thief", bus.SubjectVisitEvent, bus.VisitEvent{Visit: id.NewVisit(), Relay: "new", Kind: "ended"}); err != nil {
		t.Error(err)
	}
	if err := old("new"); fault.CodeOf(err) != fault.Forbidden {
		t.Errorf("somebody ends visits in the name of relay new: %v", err)
	}
	if err := old("old"); err != nil {
		t.Errorf("a relay of before is not heard: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []id.Relay{"thief", "old"}; !slices.Equal(taken, want) {
		t.Errorf("taken in the names of %v, want %v", taken, want)
	}
}
