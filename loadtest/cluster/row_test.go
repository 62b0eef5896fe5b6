package cluster

import (
	"fmt"
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
	r.lose(lost.all, hit, 0, part{}, strings.ToUpper)
	if r.Due != 6 || r.lost() != 3 || r.Before != 1 || r.Cut != 2 || sum(r.Console) != 1 {
		t.Errorf("due %d, lost %d, before %d, cut %d, console %v", r.Due, r.lost(), r.Before, r.Cut, r.Console)
	}
	want := []Loss{
		{scenario.Slow, -2, -2, 3, "ADDR", false, "code", scenario.Slow}, {scenario.Page, 1, 1, 3, "ADDR", false, "code", scenario.Page}, {scenario.Upload, 2, 2, 3, "ADDR", false, "code", scenario.Upload},
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

// PBXs, by their content: one whose tunnel is at what fails, and one whose is not.
const here, away = 1, 2

// failed is a relay that fails, with the tunnel of one PBX.
func failed(how how, relay string) part {
	return part{how: how, relay: relay, holds: map[uint32]bool{here: true}}
}

// Of a relay that is killed only what was under way through it may be lost. A visitor
// sees late that its connection ended with it, as late as its process comes to run.
func TestAKilledRelayLosesWhatWasUnderWayThere(t *testing.T) {
	const ms = time.Millisecond
	f := func(what string, there int64, entry string, content uint32, begun, open, still time.Duration) {
		t.Helper()
		hit := time.Now()
		at := hit.Add(begun)
		l := traffic.Loss{Kind: scenario.Upload, Due: at, Begun: at, Seen: at, Entry: entry, Content: content}
		if open != 0 {
			l.Kind, l.Open = scenario.WebSocket, hit.Add(open)
		}
		r := Row{Lost: map[string]map[string]int64{l.Kind: {"x": 1}}}
		r.lose([]traffic.Loss{l}, hit, still, failed(killed, "relay-1"), strings.ToLower)
		if killedRelay(&r); r.There != there || len(r.Losses) != 1 || len(r.Faults) != 1-int(there) {
			t.Errorf("%s: %d of %d under way there, want %d; faults: %v", what, r.There, len(r.Losses), there, r.Faults)
		}
	}
	f("before it was killed", 1, "RELAY-1", away, -ms, 0, 0)
	f("by another relay, to a PBX there", 1, "RELAY-2", here, -ms, 0, 0)
	f("by another relay, to a PBX elsewhere", 0, "RELAY-2", away, -ms, 0, 0)
	f("nobody knows where it would have led", 1, "", away, -ms, 0, 0)
	f("just after", 1, "RELAY-1", away, 60*ms, 0, 0)
	f("later: nobody may still think that it lives", 0, "RELAY-1", away, 200*ms, 0, 0)
	f("nobody could see it", 1, "RELAY-1", away, 200*ms, 0, 500*ms)
	f("whatever the visitor did", 0, "RELAY-1", away, 2*time.Second, 0, time.Minute)
	f("just after, at another relay", 0, "RELAY-2", here, 60*ms, 0, 0)
	f("just after, nowhere", 0, "", here, 60*ms, 0, 0)
	f("on a WebSocket through it", 1, "RELAY-2", here, 60*ms, -time.Second, 0)
	f("on a WebSocket that is not", 0, "RELAY-2", away, 60*ms, -time.Second, 0)
	f("on a WebSocket of afterwards", 0, "RELAY-2", here, 60*ms, ms, 0)
}

// Of a relay that says nothing what came to it may be lost, and what was for PBXs there
// until they are elsewhere, unless it can be asked for again. Nothing else may be, and
// of tunnels that break unseen likewise.
func TestWhatSaysNothingLosesOnlyWhatWentThere(t *testing.T) {
	const where = "%d there, %d through it, %d repeatable, %d elsewhere"
	f := func(what, kind, code, entry string, content uint32, begun time.Duration, p part, want string) {
		t.Helper()
		hit := time.Now()
		r := Row{All: 20, Lost: map[string]map[string]int64{kind: {code: 1}}}
		at := hit.Add(begun)
		r.lose([]traffic.Loss{{Kind: kind, Due: at, Begun: at, Seen: at, Entry: entry, Content: content, Code: code}}, hit, 0, p, strings.ToLower)
		if got := fmt.Sprintf(where, r.There, r.Through, r.Repeatable, r.elsewhere()); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
		judge := silentRelay
		if p.relay == "" {
			judge = agentReturns.Judge
		}
		if judge(&r); len(r.Faults) != int(r.Repeatable+r.elsewhere()) {
			t.Errorf("%s: faults %v", what, r.Faults)
		}
	}
	there, through := fmt.Sprintf(where, 1, 0, 0, 0), fmt.Sprintf(where, 0, 1, 0, 0)
	repeatable, elsewhere := fmt.Sprintf(where, 0, 0, 1, 0), fmt.Sprintf(where, 0, 0, 0, 1)
	silent, broken := failed(silenced, "relay-1"), failed(silenced, "")
	f("a page that came to it", scenario.Page, "no_answer", "RELAY-1", away, time.Second, silent, there)
	f("a page elsewhere", scenario.Page, "timeout", "RELAY-2", here, time.Second, silent, repeatable)
	f("a page nowhere", scenario.Page, "timeout", "", here, time.Second, silent, repeatable)
	f("an upload to a PBX there", scenario.Upload, "relay_lost", "RELAY-2", here, time.Second, silent, through)
	f("one of before", scenario.Upload, "relay_lost", "RELAY-2", here, -time.Minute, silent, through)
	f("one to a PBX that is elsewhere since", scenario.Upload, "relay_lost", "RELAY-2", here, 22*time.Second, silent, elsewhere)
	f("one to a PBX that was always", scenario.Upload, "relay_lost", "RELAY-2", away, time.Second, silent, elsewhere)
	f("an answer that had begun", scenario.Slow, traffic.CodeCut, "RELAY-2", here, -time.Second, silent, through)
	f("one elsewhere", scenario.Slow, traffic.CodeCut, "RELAY-2", away, -time.Second, silent, elsewhere)
	f("a message into a broken tunnel", scenario.WebSocket, "no_answer", "RELAY-2", here, time.Second, broken, through)
	f("one into another", scenario.WebSocket, "no_answer", "RELAY-2", away, time.Second, broken, elsewhere)
	f("a page into a broken tunnel", scenario.Page, "no_answer", "RELAY-2", here, time.Second, broken, repeatable)
}

// A message that met the 1012 of a relay that restarts on its way is not held against
// the relay, and any other is.
func TestAMessageMayMeetARestart(t *testing.T) {
	for code, within := range map[string]map[time.Duration]bool{
		traffic.CodeRestart: {50 * time.Millisecond: true, 250 * time.Millisecond: true, 400 * time.Millisecond: false},
		"no_answer":         {50 * time.Millisecond: false},
	} {
		for took, good := range within {
			r := Row{Lost: map[string]map[string]int64{scenario.WebSocket: {code: 1}}, Closed: 1}
			at := time.Now()
			r.lose([]traffic.Loss{{Kind: scenario.WebSocket, Due: at, Begun: at, Seen: at.Add(took), Code: code}}, at, 200*time.Millisecond, part{}, strings.ToUpper)
			if relaysRolling.Judge(&r); (len(r.Faults) == 0) != good {
				t.Errorf("%s after %v: %v", code, took, r.Faults)
			}
		}
	}
	r := Row{Closed: 2, Abrupt: 1}
	if relaysRolling.Judge(&r); len(r.Faults) != 1 {
		t.Errorf("a WebSocket that ended without a word: %v", r.Faults)
	}
}

// Of an upgrade a WebSocket that ends without a word is held against the program under
// test where no relay is of the one before.
func TestAnUpgradeJudgesWhatTheProgramUnderTestEnds(t *testing.T) {
	l, from := new(losses), time.Now()
	l.close(true)
	l.close(false)
	l.close(false)
	if l.closed != 3 || len(l.abrupt) != 2 {
		t.Errorf("%d ended, %v without a word", l.closed, l.abrupt)
	}
	f := func(what string, p period, unspoken int64) {
		t.Helper()
		r := Row{Closed: l.closed, Abrupt: int64(len(l.abrupt)), Unspoken: l.abruptIn(p)}
		if upgrade.Judge(&r); r.Unspoken != unspoken || len(r.Faults) != int(min(unspoken, 1)) {
			t.Errorf("%s: %d, %v", what, r.Unspoken, r.Faults)
		}
	}
	f("beside relays of before", period{}, 0)
	f("later than these", period{from.Add(time.Hour), from.Add(2 * time.Hour)}, 0)
	f("earlier", period{from.Add(-time.Hour), from}, 0)
	f("among relays of the program under test", period{from, from.Add(time.Hour)}, 2)
}

// What people read says where losses were, if a part failed.
func TestTheTableTellsWhereLossesWere(t *testing.T) {
	r := Row{Failure: "x", Lost: map[string]map[string]int64{scenario.Page: {"x": 10}}, There: 5, Through: 2, Repeatable: 1}
	if r.lostWhere() != "10" {
		t.Errorf("nothing failed: %s", r.lostWhere())
	}
	var out strings.Builder
	r.Part = "relay-2"
	if err := Print(&out, []Row{r}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"5 + 2 + 3", "of these 5 came to relay-2 or were under way there, 2 were for PBXs whose tunnel was there, 1 only read, 2 were elsewhere"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
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
