package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// simulated are rounds of a figure with noise of the given share, of which some
// belongs to the round and some to each measurement.
func simulated(seed uint64, unit string, base, factor, noise float64) judged {
	rnd := rand.New(rand.NewPCG(seed, 7))
	var s series
	for range 5 {
		machine := 1 + 5*noise*rnd.ExpFloat64()
		for who, f := range []float64{1, factor, 1} {
			s.add(who, []entry{{Name: "x", Unit: unit, Value: base * f * machine * (1 + noise*rnd.NormFloat64())}})
		}
	}
	return s.judge()[0]
}

// Equal programs pass whatever the noise, a slow round of the machine is
// nobody's fault, and a real change is found. What is said of equal ones once in
// a hundred is not confirmed by a second look.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		unit                string
		base, factor, noise float64
		want                string
		least               int // of a hundred
	}{
		{"allocs/op", 10, 1, 0.002, sameVerdict, 97},
		{"allocs/op", 10, 1.1, 0.002, worseVerdict, 99},
		{"allocs/op", 10, 0.9, 0.002, betterVerdict, 99},
		{"allocs/op", 10, 1.005, 0.0001, sameVerdict, 100}, // within its room
		{unitTime, 0.3, 1, 0.2, sameVerdict, 97},
		{unitTime, 0.3, 5, 0.2, worseVerdict, 99},
		{unitCPU, 0.3, 1, 0.02, sameVerdict, 97},
		{unitCPU, 0.3, 1.3, 0.02, worseVerdict, 99},
	} {
		found := 0
		for seed := range uint64(100) {
			if simulated(seed, c.unit, c.base, c.factor, c.noise).Verdict == c.want {
				found++
			}
		}
		if found < c.least {
			t.Errorf("%+v: found %d times of 100", c, found)
		}
	}
}

// Nothing of nothing is the same; a goroutine more for each tunnel is worse.
func TestJudgeOfNothing(t *testing.T) {
	for now, want := range map[float64]string{0: sameVerdict, 1: worseVerdict} {
		var s series
		for range 3 {
			for who, v := range []float64{0, now, 0} {
				s.add(who, []entry{{Name: "x", Unit: "goroutines/tunnel", Value: v}})
			}
		}
		if got := s.judge()[0]; got.Verdict != want {
			t.Errorf("%v: %+v", now, got)
		}
	}
}

func TestConfirmed(t *testing.T) {
	of := func(a, b string) []judged { return []judged{{Name: "a", Verdict: a}, {Name: "b", Verdict: b}} }
	if got := confirmed(of(worseVerdict, sameVerdict), of(worseVerdict, worseVerdict)); !cmp.Equal(got, of(worseVerdict, sameVerdict)) {
		t.Error(got)
	}
	if got := confirmed(of(worseVerdict, betterVerdict), of(betterVerdict, betterVerdict)); !cmp.Equal(got, of(sameVerdict, betterVerdict)) {
		t.Error(got)
	}
}

// Every unit that a probe has can be judged.
func TestRooms(t *testing.T) {
	for unit := range limits {
		if _, ok := rooms[unit]; !ok {
			t.Errorf("no room for %s", unit)
		}
	}
}

func TestChangedYAML(t *testing.T) {
	type inner struct{ A, B int }
	type config struct {
		Name string
		In   inner
		Same inner
	}
	got, err := changedYAML(config{"x", inner{1, 2}, inner{3, 4}}, config{"", inner{1, 3}, inner{3, 4}})
	if want := "in:\n    b: 2\nname: x\n"; err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

// A comparison of the sources with themselves, on real processes: the table,
// the history and the page have it, and nothing stays behind.
func TestContest(t *testing.T) {
	if raceEnabled {
		t.Skip("three installations take three times as long with the race detector: make test runs this one without")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	o := defaults()
	o.self, o.trunkline, o.agent = []string{self}, []string{self, "trunkline"}, []string{self, "agent"}
	o.out, o.only, o.outDir = &out, regexp.MustCompile(`WebSocket.*conns=1/edge=http$`), t.TempDir()
	results, err := contest(t.Context(), o, o, 2)
	if err != nil {
		t.Fatal(err)
	}
	nothingLeft(t)
	if len(results) < 2 {
		t.Errorf("%d results", len(results))
	}
	for _, j := range results {
		// Two rounds are too few for a verdict. They are of the same sources, though, so
		// what they allocate is the same, or differed between the two runs of the base.
		if ratio := j.Now / j.Base; j.Base <= 0 || j.Now <= 0 || j.Unit == "allocs/op" && (ratio < 0.5 || ratio > 2) && math.Abs(j.Now-j.Base) > j.Noise {
			t.Errorf("%+v", j)
		}
	}
	c := &comparison{Time: time.Now(), Base: "a", Now: "b", Machine: machineName(), Rounds: 2, Results: results}
	ci := ciOptions{history: filepath.Join(o.outDir, "kept", "history.jsonl"), summary: filepath.Join(o.outDir, "summary.md")}
	if err := errors.Join(c.write(o, ci), c.write(o, ci)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(ci.history)
	if err != nil || bytes.Count(b, []byte("\n")) != 2 {
		t.Fatalf("%s, %v", b, err)
	}
	var again comparison
	if err := json.Unmarshal(bytes.SplitAfter(b, []byte("\n"))[1], &again); err != nil || !cmp.Equal(again.Results, results) {
		t.Errorf("%v, %v", again, err)
	}
	if b, err := os.ReadFile(ci.summary); err != nil || !strings.Contains(string(b), "| WebSocket/size=128B/conns=1/edge=http | allocs/op |") {
		t.Errorf("%s, %v", b, err)
	}
}

// The patches that show that the comparison sees something are of the sources as
// they are: what they leave is there, line by line.
func TestPatchesFit(t *testing.T) {
	patches, err := filepath.Glob("ci/*.patch")
	if err != nil || len(patches) < 2 {
		t.Fatalf("%v, %v", patches, err)
	}
	for _, patch := range patches {
		b, err := os.ReadFile(patch)
		if err != nil {
			t.Fatal(err)
		}
		var file, old string
		hunk := false
		for line := range strings.Lines(string(b)) {
			switch name, is := strings.CutPrefix(line, "--- a/"); {
			case is:
				file = strings.TrimSpace(name)
			case strings.HasPrefix(line, "@@"):
				hunk = true
			case hunk && line[0] != '+':
				old += line[1:]
			}
		}
		source, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		if old == "" || strings.Count(string(source), old) != 1 {
			t.Errorf("%s is not of %s as it is: make it anew", patch, file)
		}
	}
}

func TestParseSchedstat(t *testing.T) {
	if got, err := parseSchedstat([]byte("1500 2 3\n")); err != nil || got != 1500 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "x 1 2", "-1 2 3"} {
		if _, err := parseSchedstat([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}
