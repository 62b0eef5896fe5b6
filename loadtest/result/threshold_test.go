package result_test

import (
	"strings"
	"testing"

	"trunkline/loadtest/result"
)

func TestThresholds(t *testing.T) {
	r := sample()
	for text, want := range map[string]struct {
		passed bool
		got    string
	}{
		"browse.p50 <= 51ms":          {true, "50.175ms"},
		"browse.p99 < 50ms":           {false, "99.327ms"},
		"browse.max <= 1m":            {true, "100.351ms"},
		"browse.mean > 1us":           {true, "50.4947ms"},
		"p99.9 < 2s":                  {true, "1.00352s"},
		"error_ratio < 1%":            {true, "0.980392%"},
		"browse.error_ratio <= 0.001": {false, "0.990099%"},
		"errors == 1":                 {true, "1"},
		"bulk.errors == 0":            {true, "0"},
		"lost == 0":                   {false, "3B"},
		"browse.lost == 0":            {true, "0B"},
		"duplicated == 2":             {true, "2B"},
		"corrupted < 1":               {false, "1B"},
		"bulk.checked >= 1MiB":        {true, "1MiB"},
		"browse.rate >= 10":           {true, "10"},
		"recovered(95%) <= 5.5s":      {true, "5.5s"},
		"recovered(90%) <= 2.5s":      {true, "2.5s"},
		"recovered(95%) < 5s":         {false, "5.5s"},
		"tunnels_lowest >= 20":        {true, "20"},
		"tunnels_last == 50":          {true, "50"},
		"relay_cpu <= 1":              {true, "1"},
		"relay_memory < 1KiB":         {true, "121B"},
		"relay_memory_growth < 22%":   {true, "21%"},
		"generators_lost == 0":        {false, "1"},
		"websocket.p99 < 1s":          {false, "there was no such traffic"},
	} {
		th, err := result.ParseThreshold(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := th.Judge(r); got.Passed != want.passed || got.Got != want.got {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
		if again, err := result.ParseThreshold(th.String()); err != nil || again.String() != th.String() {
			t.Errorf("%s: %v becomes %v, %v", text, th, again, err)
		}
	}
}

// What was not measured has not passed.
func TestThresholdsOfNothing(t *testing.T) {
	r := sample()
	r.Kinds["browse"], r.Tunnels, r.Relays, r.Events = new(result.Kind), nil, nil, nil
	for _, text := range []string{
		"browse.p99 < 1s", "browse.lost == 0", "browse.error_ratio < 1%", "tunnels_lowest >= 0", "tunnels_last >= 0",
		"relay_memory < 1GiB", "relay_memory_growth < 1%", "relay_cpu < 1", "recovered(95%) < 1m",
	} {
		th, err := result.ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := th.Judge(r); got.Passed || got.Got == "" {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// Tunnels that do not come back have not recovered, nor has a second fall the
// recovery of the first.
func TestRecovery(t *testing.T) {
	r := sample()
	first := r.Events[1]
	r.Tunnels = result.Series{50, 50, 20, 30, 50, 50, 10, 10, 10}
	if took, ok := r.Recovery(first, 0.95); ok {
		t.Errorf("recovered after %v", took)
	}
	r.Events = append(r.Events, result.Event{At: 6, Text: "again", Disturbs: true})
	if took, ok := r.Recovery(first, 0.95); !ok || took != 2.5 {
		t.Errorf("the first recovered after %v, %v", took, ok)
	}
	if _, ok := r.Recovery(r.Events[2], 0.95); ok {
		t.Error("the second recovered")
	}
	if _, ok := r.Recovery(result.Event{At: -1}, 0.95); ok {
		t.Error("before there was a tunnel")
	}
}

func TestThresholdsThatCannotBe(t *testing.T) {
	for text, says := range map[string]string{
		"":                        "write it like",
		"p99":                     "write it like",
		"p99 = 1s":                "write it like",
		"p98 < 1s":                "there are checked,",
		"p99 < 1":                 "a time",
		"p99 < 1MiB":              "a time",
		"lost == 0s":              "of bytes",
		"errors == 1%":            "a number",
		"browse.tunnels_last > 1": "whole run",
		"recovered <= 30s":        "recovered(95%)",
		"recovered(101%) <= 30s":  "0% to 100%",
		"p99(95%) < 1s":           "no share",
		"p99 < 1.2.3s":            "no number",
		"p99 < 9" + strings.Repeat("9", 300) + "s": "longer",
	} {
		if _, err := result.ParseThreshold(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzThreshold(f *testing.F) {
	for _, s := range []string{"browse.p99 <= 800ms", "recovered(95%) <= 30s", "relay_memory < 1.5GiB", "p99.9<0.1us", "error_ratio == 0.1%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		th, err := result.ParseThreshold(text)
		if err != nil {
			if th != (result.Threshold{}) {
				t.Errorf("%v beside %v", th, err)
			}
			return
		}
		again, err := result.ParseThreshold(th.String())
		if err != nil || again.String() != th.String() {
			t.Errorf("%v becomes %v, %v", th, again, err)
		}
	})
}
