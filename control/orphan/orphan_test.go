package orphan_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"trunkline/control/orphan"
	"trunkline/internal/bus"
	"trunkline/internal/id"
)

const patience = 30 * time.Second

// world is a bus with the routes of two relays, of which one has a lease, a relay that
// listens, and the clock of the looks.
type world struct {
	*testing.T
	bus     *bus.Bus
	routes  *bus.Bucket[string]
	orphans *orphan.Routes
	here    map[string]bool // the keys of the routes of "here", which lives
	now     time.Time

	mu    sync.Mutex // guards what follows
	live  map[id.Relay]bool
	known time.Time
	heard map[string]bool // the routes that a listener knows
	whole bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &world{
		T: t, bus: b, routes: bus.NewBucket[string](b, bus.Routes), here: make(map[string]bool), now: time.Now(),
		live: map[id.Relay]bool{"here": true}, heard: make(map[string]bool),
	}
	w.orphans = w.node()
	w.put("here")
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.routes.Watch(ctx, w.hear); err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	return w
}

// node is what a control node has.
func (w *world) node() *orphan.Routes {
	return orphan.New(orphan.Options{
		Bus: w.bus, Log: zaptest.NewLogger(w.T),
		Live:  func() map[id.Relay]bool { w.mu.Lock(); defer w.mu.Unlock(); return maps.Clone(w.live) },
		Known: func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.known },
	})
}

// put puts a route of a relay, and says so as control's watch does.
func (w *world) put(r id.Relay) (key string) {
	w.Helper()
	key = bus.RouteKey(r, id.NewDevice())
	if _, err := w.routes.Put(w.Context(), key, "up"); err != nil {
		w.Fatal(err)
	}
	w.orphans.Name(r)
	if r == "here" {
		w.here[key] = true
	}
	return key
}

func (w *world) hear(e bus.Event[string]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Kind {
	case bus.Reset:
		clear(w.heard)
	case bus.Put:
		w.heard[e.Key] = true
	case bus.Delete:
		delete(w.heard, e.Key)
	case bus.Synced:
		w.whole = true
	}
}

// look looks each minute for a time, with the leases known all the while.
func (w *world) look(d time.Duration) {
	w.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(orphan.LookEvery)
		w.setKnown(w.now)
		w.step()
	}
}

func (w *world) step() {
	w.Helper()
	if err := w.orphans.StepForTest(w.Context(), w.now); err != nil {
		w.Fatal(err)
	}
}

func (w *world) setKnown(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = at
}

func (w *world) setLive(r id.Relay, live bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live[r] = live
}

// hears waits until who listens knows these routes, those of the relay that lives, and
// no others. One of that relay is put last, so that what was to stay is not just still
// there.
func (w *world) hears(keys ...string) {
	w.Helper()
	w.put("here")
	want := maps.Clone(w.here)
	for _, key := range keys {
		want[key] = true
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		ok, have := w.whole && maps.Equal(w.heard, want), maps.Clone(w.heard)
		w.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			w.Fatalf("known are %v, want %v", have, want)
		}
	}
}

func TestRoutesOfARelayThatIsGone(t *testing.T) {
	w := newWorld(t)
	a, b := w.put("gone"), w.put("gone")
	w.look(orphan.After)
	w.hears(a, b) // the first look found it missing, and an hour is not over
	w.look(orphan.LookEvery)
	w.hears()
	// What is there is looked at, and what is named later too.
	c := w.put("gone")
	w.look(orphan.After)
	w.hears(c)
	w.look(orphan.LookEvery)
	w.hears()
}

func TestARelayThatIsBackKeepsItsRoutes(t *testing.T) {
	w := newWorld(t)
	a := w.put("gone")
	w.look(orphan.After - orphan.LookEvery)
	w.setLive("gone", true)
	w.look(orphan.LookEvery)
	w.setLive("gone", false)
	w.look(orphan.After)
	w.hears(a)
	w.look(orphan.LookEvery)
	w.hears()
}

// Leases that cannot be seen, or that nobody looked for, are no leases that are gone.
func TestAnHourThatNobodySawIsNone(t *testing.T) {
	for name, blind := range map[string]func(*world){
		"the bus was away": func(w *world) {
			w.now = w.now.Add(orphan.LookEvery) // and known is what was
			w.step()
		},
		"control stood still": func(w *world) { w.now = w.now.Add(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.put("gone")
			w.look(orphan.After)
			blind(w)
			w.look(orphan.After)
			w.hears(a)
			w.look(orphan.LookEvery)
			w.hears()
		})
	}
}

// Of two control nodes that find the same at the same time, neither fails.
func TestTwoControlNodes(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		w.put("gone")
	}
	other := w.node()
	other.Name("gone")
	w.setKnown(w.now)
	if err := other.StepForTest(t.Context(), w.now); err != nil {
		t.Fatal(err)
	}
	w.look(orphan.After)
	for at := w.now.Add(-orphan.After); at.Before(w.now); at = at.Add(orphan.LookEvery) {
		w.setKnown(at)
		if err := other.StepForTest(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	w.now = w.now.Add(orphan.LookEvery)
	w.setKnown(w.now)
	now := w.now
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := other.StepForTest(t.Context(), now); err != nil {
			t.Errorf("the other one: %v", err)
		}
	})
	w.step()
	wg.Wait()
	w.hears()
}
