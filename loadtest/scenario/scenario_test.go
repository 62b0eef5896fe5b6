package scenario_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"trunkline/loadtest/scenario"
	"trunkline/loadtest/scenarios"
)

const good = `name: mine
about: One line.
devices: 100
pairs: 10
relays: 2
lines:
  - {name: fibre, share: 0.75, rtt: 10ms, up: 100Mbit}
  - {name: lte, share: 0.25, rtt: 60ms, loss: 0.01, up: 512kbit, down: 20Mbit}
warmup: 5s
duration: 1m
traffic:
  - {kind: page, rate: 10, size: 4KiB, assets: 3, asset_size: 1MiB}
  - {kind: websocket, open: 5, every: 1s, size: 128}
events:
  - {at: 10s, kill: 1, for: 5s}
thresholds:
  - page.p99 <= 2s
`

func TestParse(t *testing.T) {
	s, err := scenario.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if s.Visits != 90 || s.Timeout != 30*time.Second || s.Lines[1].Up != 512_000 || s.Traffic[0].AssetSize != 1<<20 || !s.OwnRelays() {
		t.Errorf("%+v", s)
	}
}

// What is wrong is named, with its line.
func TestWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"devices: 100", "device: 100", "line 3: field device not found"},
		{"devices: 100", "devices: 0", "line 3: devices: need 1 to 100000"},
		{"devices: 100", "devices: many", "line 3: cannot unmarshal"},
		{"name: mine", "name: My Own", "line 1: name: "},
		{"about: One line.", "about: \"two\\nlines\"", "line 2: about: "},
		{"pairs: 10", "pairs: 51", "line 4: pairs: need 0 to 50"},
		{"share: 0.25", "share: 0.5", "line 7: lines: the shares add up to 1.25"},
		{"name: lte", "name: fibre", "line 8: lines.2.name: "},
		{"loss: 0.01", "loss: .nan", "line 8: lines.2.loss: "},
		{"512kbit", "512 kbit", `line 8: "512 kbit" is not a whole number with a unit`},
		{"512kbit", "1bit", "line 8: lines.2.up: "},
		{"duration: 1m", "duration: 1h0m0s5", "line 10: cannot unmarshal"},
		{"duration: 1m", "", "duration: need 100ms"},
		{"kind: page", "kind: pages", `line 12: traffic.1.kind: "pages" is none of page, download`},
		{"rate: 10,", "rate: -1,", "line 12: traffic.1.rate: "},
		{"size: 4KiB, ", "", "line 12: traffic.1.size: "},
		{"asset_size: 1MiB", "asset_size: 9999999999999GiB", "line 12: \"9999999999999GiB\""},
		{"open: 5", "open: 5, rate: 3", "line 13: traffic.2.rate: means nothing"},
		{"every: 1s, ", "", "line 13: traffic.2.every: "},
		{"kill: 1, for: 5s", "for: 5s", "line 15: events.1: need one of"},
		{"kill: 1", "kill: 3", "line 15: events.1.kill: "},
		{"kill: 1", "kill: 1, drop: 1", "line 15: events.1: need one of"},
		{"at: 10s", "at: 2m", "line 15: events.1.at: "},
		{"page.p99 <= 2s", "page.p99 <= 2", "line 17: thresholds.1: "},
		{"page.p99", "upload.p99", `line 17: thresholds.1: there is no traffic of kind "upload"`},
		{"name: mine", "name: &a mine", "line 1: aliases and anchors"},
	} {
		text := strings.Replace(good, c.from, c.to, 1)
		if text == good {
			t.Fatalf("%q is not in the scenario", c.from)
		}
		if s, err := scenario.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: %v", c.to, c.from, err)
		} else if s.Name != "" {
			t.Errorf("%s for %s: something was returned: %+v", c.to, c.from, s)
		}
	}
	for text, want := range map[string]string{"": "empty", good + "---\n" + good: "more than one document", strings.Repeat(" ", scenario.MaxSize+1): "larger than"} {
		if _, err := scenario.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q...: %v", text, err)
		}
	}
}

// The scenarios that come with the program are what their names say.
func TestScenarios(t *testing.T) {
	if n := len(scenarios.Names()); n != 11 {
		t.Errorf("%d scenarios", n)
	}
	for _, name := range scenarios.Names() {
		text, _ := scenarios.Text(name)
		s, err := scenario.Parse(text)
		if err != nil || s.Name != name {
			t.Errorf("%s: %v, is called %s", name, err, s.Name)
		}
		if len(s.Thresholds) == 0 {
			t.Errorf("%s decides nothing", name)
		}
	}
	if _, ok := scenarios.Text("../scenario/scenario"); ok {
		t.Error("a file beside the scenarios is one")
	}
}

// browse explains every key, or names the file that does.
func TestEveryKeyIsExplained(t *testing.T) {
	var all []byte
	for _, name := range scenarios.Names() {
		text, _ := scenarios.Text(name)
		all = append(all, text...)
	}
	for _, key := range []string{
		"name", "about", "devices", "pairs", "connect_rate", "visits", "relays", "lines", "share", "rtt", "loss", "up", "down", "warmup", "duration", "timeout",
		"traffic", "kind", "rate", "size", "assets", "asset_size", "open", "every", "read_rate", "events", "at", "kill", "restart", "drop", "vanish", "swap", "for", "thresholds",
	} {
		if !bytes.Contains(all, []byte(key+":")) {
			t.Errorf("%s is in no scenario", key)
		}
	}
}

// The parts of several generators are the whole.
func TestShare(t *testing.T) {
	s, err := scenario.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 7; n++ {
		var devices, pairs, open int
		var rate float64
		next := 0
		for i := range n {
			part, first := s.Share(i, n)
			if first != next {
				t.Errorf("part %d of %d begins at %d, not at %d", i, n, first, next)
			}
			next += part.Devices
			devices, pairs, open, rate = devices+part.Devices, pairs+part.Pairs, open+part.Traffic[1].Open, rate+part.Traffic[0].Rate
		}
		if devices != 100 || pairs != 10 || open != 5 || rate < 9.999 || rate > 10.001 {
			t.Errorf("%d parts: %d devices, %d pairs, %d sockets, rate %g", n, devices, pairs, open, rate)
		}
	}
	if s.Traffic[0].Rate != 10 {
		t.Error("sharing changed the scenario")
	}
}

func TestScaleAndStretch(t *testing.T) {
	s, err := scenario.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	got := s.Scale(50).Stretch(30 * time.Second)
	if got.Devices != 50 || got.Pairs != 5 || got.Visits != 45 || got.Traffic[0].Rate != 5 || got.Traffic[1].Open != 3 {
		t.Errorf("%+v", got)
	}
	if e := got.Events[0]; e.At != 5*time.Second || e.For != 2500*time.Millisecond {
		t.Errorf("%+v", e)
	}
	s.Thresholds = append(s.Thresholds, "tunnels_lowest >= 100")
	if got := s.Scale(33).Thresholds; !slices.Equal(got, []string{"page.p99 <= 2s", "tunnels_lowest >= 33"}) || s.Thresholds[1] != "tunnels_lowest >= 100" {
		t.Errorf("thresholds %q, of %q", got, s.Thresholds)
	}
	if one := s.Scale(1); one.Visits != 1 || one.Pairs != 0 || one.Sites() != 1 {
		t.Errorf("%+v", one)
	}
}

// What is read can be written and is read as the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	for _, name := range scenarios.Names() {
		text, _ := scenarios.Text(name)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := scenario.Parse(text)
		if err != nil {
			if s.Name != "" || s.Devices != 0 {
				t.Errorf("%v, and %+v", err, s)
			}
			return
		}
		b, err := yaml.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := scenario.Parse(b)
		if err != nil {
			t.Fatalf("%v in\n%s", err, b)
		}
		if d := cmp.Diff(fmt.Sprintf("%+v", s), fmt.Sprintf("%+v", again)); d != "" {
			t.Errorf("-read +read again:\n%s", d)
		}
	})
}
