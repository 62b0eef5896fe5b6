package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/traffic"
)

// seen is what a load recorded: requests by kind, second and code.
func seen(began time.Time, all map[string]map[int]string) map[string]*result.Kind {
	r := result.NewRecorder(began, step)
	for kind, at := range all {
		for second, code := range at {
			due := began.Add(time.Duration(second) * time.Second)
			if code == "" {
				r.Kind(kind).OK(due, time.Millisecond, 100)
			} else {
				r.Kind(kind).Failed(due, code)
			}
		}
	}
	return r.Kinds()
}

func TestRowCountsWhatVisitorsLost(t *testing.T) {
	began := time.Now()
	var r Row
	kinds := seen(began, map[string]map[int]string{
		scenario.Page:   {1: "", 2: "", 6: "not_connected", 20: ""},
		scenario.Slow:   {3: "answer_cut"}, // under way at 5 s
		scenario.Upload: {7: "timeout"},
		list:            {6: "unavailable"},
	})
	r.count(kinds)
	hit, lost := began.Add(5*time.Second), new(losses)
	for kind, due := range map[string]int{scenario.Upload: 7, scenario.Page: 6, scenario.Activate: 6, scenario.Slow: 3} {
		at := began.Add(time.Duration(due) * time.Second)
		lost.add(traffic.Loss{Kind: kind, Due: at, Begun: at, Seen: began.Add(8 * time.Second), Entry: "addr", Code: "code", Answer: kind})
	}
	r.lose(lost.all, hit, "", strings.ToUpper)
	if r.Due != 6 || r.lost() != 3 || r.Before != 1 || r.Cut != 2 || sum(r.Console) != 1 {
		t.Errorf("due %d, lost %d, before %d, cut %d, console %v", r.Due, r.lost(), r.Before, r.Cut, r.Console)
	}
	want := []Loss{
		{scenario.Slow, -2, -2, 3, "ADDR", "code", scenario.Slow}, {scenario.Page, 1, 1, 3, "ADDR", "code", scenario.Page}, {scenario.Upload, 2, 2, 3, "ADDR", "code", scenario.Upload},
	}
	if !slices.Equal(r.Losses, want) {
		t.Errorf("lost were %v", r.Losses)
	}
	if r.Healthy != 2 {
		t.Errorf("right again after %.1f s; the last that failed was due 2 s after it happened", r.Healthy)
	}
	nothingLost(&r)
	if err := Missed(nil, []Row{{}, r}, false); err == nil {
		t.Error("lost requests miss no goal")
	}
}

// A visitor sees late that its connection ended with a relay: what it sent on that a
// moment after is no loss beyond what was under way. What came elsewhere is.
func TestAKilledRelaysConnectionsMayBeSeenLate(t *testing.T) {
	f := func(what string, before int64, killed, entry string, begun time.Duration) {
		t.Helper()
		var r Row
		hit := time.Now()
		at := hit.Add(begun)
		r.lose([]traffic.Loss{{Kind: scenario.Page, Due: at, Begun: at, Seen: at, Entry: entry}}, hit, killed, strings.ToLower)
		if r.Before != before || len(r.Losses) != 1 {
			t.Errorf("%s: %d under way of %d, want %d", what, r.Before, len(r.Losses), before)
		}
	}
	f("before it was killed", 1, "relay-1", "RELAY-1", -time.Millisecond)
	f("just after", 1, "relay-1", "RELAY-1", 60*time.Millisecond)
	f("later: nobody may still think that it lives", 0, "relay-1", "RELAY-1", 2*time.Second)
	f("at another relay", 0, "relay-1", "RELAY-2", 60*time.Millisecond)
	f("nowhere", 0, "relay-1", "", 60*time.Millisecond)
	f("none was killed", 0, "", "", 60*time.Millisecond)
	for open, want := range map[time.Duration]int64{-time.Second: 1, time.Millisecond: 0} { // through the relay, or since
		var r Row
		hit := time.Now()
		at := hit.Add(60 * time.Millisecond)
		r.lose([]traffic.Loss{{Kind: scenario.WebSocket, Due: at, Begun: at, Seen: at, Entry: "RELAY-2", Open: hit.Add(open)}}, hit, "relay-1", strings.ToLower)
		if r.Before != want {
			t.Errorf("a WebSocket that opened %v after it was killed: %d under way, want %d", open, r.Before, want)
		}
	}
}

// Where a relay was silent what came to it is told from what came to others, and of
// that, what could have been asked for again: only this misses the goal.
func TestLossesAreSortedByWhereTheyCame(t *testing.T) {
	r := Row{Lost: map[string]map[string]int64{scenario.Page: {"x": 3}, scenario.Slow: {"x": 2}, scenario.Upload: {"x": 1}, scenario.WebSocket: {"x": 1}}, Losses: []Loss{
		{Kind: scenario.Page, Entry: "relay-2", Code: "no_answer"},
		{Kind: scenario.Upload, Entry: "relay-1", Code: "relay_lost"},
		{Kind: scenario.WebSocket, Entry: "relay-1", Code: "no_answer"},
		{Kind: scenario.Slow, Entry: "relay-3", Code: traffic.CodeCut},
		{Kind: scenario.Slow, Entry: "relay-2", Code: traffic.CodeCut},
		{Kind: scenario.Page, Entry: "relay-2", Code: "timeout"},
	}}
	if r.sort(""); r.There != 0 || r.Repeatable != 0 || r.lostWhere() != "7" {
		t.Errorf("no relay was silent: %d there, %d repeatable, %s", r.There, r.Repeatable, r.lostWhere())
	}
	if r.sort("relay-2"); r.There != 3 || r.Repeatable != 0 || r.lostWhere() != "3 + 4" {
		t.Errorf("%d there, %d repeatable, %s", r.There, r.Repeatable, r.lostWhere())
	}
	if silentRelay(&r); len(r.Faults) != 0 {
		t.Errorf("nothing that could be repeated was lost: %v", r.Faults)
	}
	for _, entry := range []string{"relay-1", ""} { // nowhere is not the silent one's fault
		again := Row{Losses: []Loss{{Kind: scenario.Page, Entry: entry, Code: "timeout"}}}
		again.sort("relay-2")
		if silentRelay(&again); again.Repeatable != 1 || len(again.Faults) != 1 {
			t.Errorf("by %q: %d repeatable, faults %v", entry, again.Repeatable, again.Faults)
		}
	}
}

func TestGoalsOfTimeCountWhereTheyAreToCount(t *testing.T) {
	r := Row{Failure: "slow", Most: 31, All: 61, Wrong: 3}
	back(&r)
	rightStatuses(&r)
	if err := Missed(nil, []Row{r}, false); err != nil {
		t.Errorf("untimed: %v", err)
	}
	if err := Missed(nil, []Row{r}, true); err == nil || !strings.Contains(err.Error(), "slow") {
		t.Errorf("timed: %v", err)
	}
}

func TestEveryFailureIsFoundByItsName(t *testing.T) {
	for _, f := range slices.Concat(Failures(), Clocks(), []Failure{upgrade}) {
		got, err := Choose([]string{f.Name}, false)
		if err != nil || len(got) != 1 || got[0].Name != f.Name {
			t.Errorf("%s: %v, %v", f.Name, got, err)
		}
	}
	if _, err := Choose([]string{"none"}, false); err == nil {
		t.Error("a failure that there is not was found")
	}
	if short, err := Choose(nil, true); err != nil || len(short) == 0 || len(short) >= len(Failures()) {
		t.Errorf("the short test has %d failures, %v", len(short), err)
	}
}

// What was skipped is no success, whatever else went well.
func TestWhatWasSkippedIsMissed(t *testing.T) {
	asked, rows := []Failure{relayKilled, relayCut}, []Row{{Failure: relayKilled.Name}}
	err := Missed(asked, rows, true)
	if err == nil || !strings.HasSuffix(err.Error(), ": "+relayCut.Name) {
		t.Errorf("of %s skipped it says %v", relayCut.Name, err)
	}
	if err := Missed(asked[:1], rows, true); err != nil {
		t.Errorf("with all done it says %v", err)
	}
}
