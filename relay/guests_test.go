package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// told records what devices are told, over visits that go on.
type told struct {
	*guests
	mu    sync.Mutex
	on    map[id.Visit]bool
	words []string
}

func newTold() *told {
	x := &told{guests: newGuests(), on: make(map[id.Visit]bool)}
	x.running = func(v id.Visit) (token.Visit, bool) {
		x.mu.Lock()
		defer x.mu.Unlock()
		return token.Visit{ID: v, Who: "Ann", Method: "account", Started: time.Unix(1, 0)}, x.on[v]
	}
	x.came = func(d id.Device, v tunnel.Visit) { x.say("%s %s", d, v.ID) }
	x.went = func(d id.Device, v id.Visit, code fault.Code) { x.say("%s %s %s", d, v, code) }
	return x
}

func (x *told) say(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.words = append(x.words, fmt.Sprintf(format, args...))
}

func (x *told) has(d id.Device, v id.Visit) bool {
	return len(x.visits(d, v)) > 0
}

func (x *told) begin(v id.Visit) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.on[v] = true
}

// end is trust's order: the visit is over before it is reported.
func (x *told) end(v id.Visit, code fault.Code) {
	x.mu.Lock()
	delete(x.on, v)
	x.mu.Unlock()
	x.ended(bus.VisitEvent{Visit: v, Kind: "ended", Code: code})
}

func (x *told) want(t *testing.T, words ...string) {
	t.Helper()
	if !slices.Equal(x.words, words) {
		t.Errorf("told %q, want %q", x.words, words)
	}
	x.words = nil
}

func TestGuestsAreToldOnce(t *testing.T) {
	x := newTold()
	x.begin("v1")
	x.serve("d1", "v1")
	x.serve("d1", "v1")
	x.serve("d2", "v1") // the site's other device, after a swap
	x.serve("d1", "over")
	x.want(t, "d1 v1", "d2 v1")
	if !x.has("d1", "v1") || x.has("d3", "v1") || x.has("d1", "over") {
		t.Error("a device's staff may end the visits to it, and no others")
	}
	x.tell("d1")
	x.tell("d3")
	x.want(t, "d1 v1")
	x.end("v1", fault.EndedByPBX)
	x.want(t, "d1 v1 visit_ended_by_pbx", "d2 v1 visit_ended_by_pbx")
	x.end("v1", fault.VisitEnded)
	x.serve("d1", "v1")
	x.tell("d1")
	x.want(t)
	if len(x.of) != 0 || len(x.at) != 0 {
		t.Errorf("left over: %v %v", x.of, x.at)
	}
}

func TestGuestsAreBounded(t *testing.T) {
	x := newTold()
	for n := range 3 * maxGuests {
		v := id.Visit(fmt.Sprint(n))
		x.begin(v)
		x.serve("d1", v)
	}
	if len(x.words) != maxGuests {
		t.Errorf("told of %d visits", len(x.words))
	}
	x.end("0", fault.VisitEnded)
	x.serve("d1", "100") // there is room again
	if !x.has("d1", "100") {
		t.Error("there is no room after an end")
	}
}

// Streams and ends at the same time leave nobody behind.
func TestGuestsThatComeAndGo(t *testing.T) {
	x := newTold()
	var wg sync.WaitGroup
	for n := range 50 {
		v := id.Visit(fmt.Sprint(n))
		x.begin(v)
		for range 4 {
			wg.Go(func() { x.serve("d1", v) })
		}
		wg.Go(func() { x.end(v, fault.VisitEnded) })
	}
	wg.Wait()
	if len(x.of) != 0 || len(x.at) != 0 {
		t.Errorf("left over: %v %v", x.of, x.at)
	}
}

// A visit that another relay serves is told of as our own are, and ends by that
// relay's word, by no other's, or with that relay.
func TestLodgedVisitsAreTold(t *testing.T) {
	x := newTold()
	lodge := func(from id.Relay, d id.Device, v id.Visit) {
		x.lodge(from, d, tunnel.Visit{ID: v, Who: "Ben", Method: "account", Started: time.Unix(1, 0)})
	}
	lodge("relay-2", "d1", "v1")
	lodge("relay-2", "d1", "v1")
	lodge("relay-3", "d1", "v2")
	if by := x.visits("d1", "v1"); !slices.Equal(by, []id.Relay{"relay-2"}) {
		t.Errorf("v1 is at %q", by)
	}
	x.endedAt("relay-3", "v1", fault.VisitEnded)
	x.endedAt("relay-2", "v1", fault.VisitEnded)
	x.lost("relay-2")
	x.lost("relay-3")
	want := []string{"d1 v1", "d1 v2", "d1 v1 visit_ended", "d1 v2 relay_lost"}
	if !slices.Equal(x.words, want) {
		t.Errorf("told %v, want %v", x.words, want)
	}
	x.empty(t)
}

func (x *told) empty(t *testing.T) {
	t.Helper()
	if len(x.of)+len(x.at)+len(x.by) > 0 {
		t.Errorf("kept of what is over: %v %v %v", x.of, x.at, x.by)
	}
}

// A visit goes through several relays. It is over when it is at the last of them: one
// that is lost, or has heard nothing of its visitor for long, says nothing of the
// others.
func TestAVisitIsOverAtTheLastOfItsRelays(t *testing.T) {
	x := newTold()
	v := tunnel.Visit{ID: "v1", Who: "Ann", Method: "account", Started: time.Unix(1, 0)}
	x.lodge("relay-2", "d1", v)
	x.lodge("relay-3", "d1", v)
	x.begin("v1")
	x.serve("d1", "v1")
	x.lodge("relay-2", "d1", v)
	x.want(t, "d1 v1")
	x.lost("relay-2")
	x.endedAt("relay-2", "v1", fault.VisitIdle)
	x.want(t)
	if by := x.visits("d1", "v1"); !slices.Equal(by, []id.Relay{"relay-3", ""}) {
		t.Errorf("its staff may end it at %q", by)
	}
	x.end("v1", fault.VisitIdle)
	x.want(t)
	x.endedAt("relay-3", "v1", fault.VisitIdle)
	x.want(t, "d1 v1 visit_idle")
	x.empty(t)
}

// What somebody has ended is over at once, at whichever of its relays it was.
func TestWhatSomebodyEndsIsOver(t *testing.T) {
	for what, end := range map[string]func(*told){
		"its visitor, at another relay": func(x *told) { x.endedAt("relay-3", "v1", fault.EndedByVisitor) },
		"its visitor, here":             func(x *told) { x.end("v1", fault.EndedByVisitor) },
		"control":                       func(x *told) { x.over("v1", fault.EndedByVisitor) },
	} {
		x := newTold()
		v := tunnel.Visit{ID: "v1", Who: "Ann", Method: "account", Started: time.Unix(1, 0)}
		x.lodge("relay-2", "d1", v)
		x.lodge("relay-3", "d2", v)
		x.begin("v1")
		x.serve("d1", "v1")
		x.want(t, "d1 v1", "d2 v1")
		end(x)
		if x.want(t, "d1 v1 visit_ended_by_visitor", "d2 v1 visit_ended_by_visitor"); t.Failed() {
			t.Fatal(what)
		}
		x.empty(t)
	}
}

// The word that a visit is over at another relay may be lost. That relay is asked then,
// and one that does not answer is believed for as long as a visit may last.
func TestGuestsOfOtherRelaysAreAskedFor(t *testing.T) {
	x := newTold()
	began := time.Now()
	x.lodge("r2", "d1", tunnel.Visit{ID: "v1", Started: began})
	x.lodge("r2", "d1", tunnel.Visit{ID: "v2", Started: began})
	x.lodge("r3", "d1", tunnel.Visit{ID: "v2", Started: began})
	x.lodge("r3", "d2", tunnel.Visit{ID: "v3", Started: began})
	x.begin("v4")
	x.serve("d2", "v4") // here, and so nobody's to judge by its beginning
	x.want(t, "d1 v1", "d1 v2", "d2 v3", "d2 v4")
	var asked []string
	serves := func(_ context.Context, r id.Relay, v id.Visit) (bool, error) {
		asked = append(asked, fmt.Sprintf("%s %s", r, v))
		if r == "r3" {
			return false, errors.New("no answer")
		}
		return v == "v2", nil
	}
	x.check(t.Context(), began.Add(time.Hour), serves)
	if want := []string{"r2 v1", "r2 v2", "r3 v2"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	x.want(t, "d1 v1 visit_idle")
	x.check(t.Context(), time.Now().Add(token.VisitLife+token.Leeway+time.Second), serves)
	if x.has("d1", "v2") || x.has("d2", "v3") || !x.has("d2", "v4") {
		t.Errorf("after the longest time of those elsewhere: %q", x.words)
	}
}

// A visit that was idle here and is here again, before that is told, goes on.
func TestGuestsComeBackAsTheyGo(t *testing.T) {
	x := newTold()
	x.begin("v1")
	x.serve("d1", "v1")
	x.ended(bus.VisitEvent{Visit: "v1", Kind: "ended", Code: fault.VisitIdle})
	x.want(t, "d1 v1")
	x.end("v1", fault.VisitIdle)
	x.want(t, "d1 v1 visit_idle")
}
