package main

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestParseCounts(t *testing.T) {
	var c counts
	const metrics = "# HELP go_goroutines Number\n# TYPE go_goroutines gauge\ngo_goroutines 42\ngo_memstats_heap_alloc_bytes 1.5e+06\n" +
		"go_memstats_mallocs_total 1234\ngo_memstats_stack_inuse_bytes 65536\nother{a=\"b c\"} 7\n"
	if err := c.parseMetrics([]byte(metrics)); err != nil {
		t.Error(err)
	}
	if err := c.parseIO([]byte("rchar: 1\nwchar: 2\nsyscr: 30\nsyscw: 40\nread_bytes: 0\n")); err != nil {
		t.Error(err)
	}
	if want := (counts{reads: 30, writes: 40, mallocs: 1234, goroutines: 42, heap: 1.5e6, stack: 65536}); c != want {
		t.Errorf("%+v", c)
	}
	for _, bad := range []string{"", "syscr: 1\n", "syscr: 1\nsyscw: x\n", "syscr: 1\nsyscw: -1\n", "syscr: NaN\nsyscw: 1\n"} {
		c := counts{reads: 5}
		if err := c.parseIO([]byte(bad)); err == nil || c != (counts{reads: 5}) {
			t.Errorf("%q: %+v, %v", bad, c, err)
		}
	}
}

// The gate closes for what got worse, for what was never recorded, and for what
// is not counted any more; not for what is better or within the noise.
func TestGateVerdict(t *testing.T) {
	base := []entry{{Name: "A", Unit: "allocs/op", Value: 20}, {Name: "A", Unit: "writes/op", Value: 2}}
	now := func(allocs, writes float64) []entry {
		return []entry{{Name: "A", Unit: "allocs/op", Value: allocs}, {Name: "A", Unit: "writes/op", Value: writes}}
	}
	for _, c := range []struct {
		now  []entry
		want int
		says string
	}{
		{now(20, 2), 0, ""},
		{now(21.4, 2.2), 0, ""},
		{now(10, 1), 0, "better"},
		{now(21.6, 2), 1, "WORSE"},
		{now(40, 3), 2, "WORSE"},
		{append(now(20, 2), entry{Name: "B", Unit: "allocs/op"}), 1, "not in the baseline"},
	} {
		if got := worse(c.now, base); len(got) != c.want {
			t.Errorf("%v: worse are %v", c.now, got)
		}
		var out bytes.Buffer
		if verdict(&out, c.now, base); !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: the table lacks %q:\n%s", c.now, c.says, &out)
		}
	}
	if got := unmeasured(now(20, 2)[:1], base); !reflect.DeepEqual(got, base[1:]) {
		t.Errorf("unmeasured: %v", got)
	}
}

// A crowd's counts hang on how requests meet, and have more room.
func TestCrowdedLimit(t *testing.T) {
	one, many := entry{Name: "R/conns=1/x", Unit: "allocs/op", Value: 100}, entry{Name: "R/conns=64/x", Unit: "allocs/op", Value: 100}
	if one.atMost() != 105.5 || many.atMost() != 130.5 {
		t.Errorf("%v, %v", one.atMost(), many.atMost())
	}
}

func TestJoined(t *testing.T) {
	tries := [][]entry{{{Name: "A", Value: 3}}, {{Name: "A", Value: 1}}, {{Name: "A", Value: 2}}}
	if low, mid := joined(tries, lowest), joined(tries, median); low[0].Value != 1 || mid[0].Value != 2 || tries[0][0].Value != 3 {
		t.Errorf("%v, %v, %v", low, mid, tries)
	}
}

// A new baseline has what is new, clearly better or clearly worse, and not what
// only differs by noise: that would let worse counts in bit by bit.
func TestRenewed(t *testing.T) {
	base := []entry{{Name: "A", Unit: "allocs/op", Value: 20}, {Name: "B", Unit: "allocs/op", Value: 20}, {Name: "C", Unit: "allocs/op", Value: 20}, {Name: "D", Unit: "allocs/op", Value: 20}}
	now := []entry{{Name: "A", Unit: "allocs/op", Value: 21}, {Name: "B", Unit: "allocs/op", Value: 10}, {Name: "C", Unit: "allocs/op", Value: 30}, {Name: "E", Unit: "allocs/op", Value: 7}}
	want := []entry{base[0], now[1], now[2], now[3]}
	if got := renewed(base, now); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

// The file in the repository is one that the gate takes, and writes the same.
func TestBaselineFile(t *testing.T) {
	b, err := os.ReadFile("gate.json")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := parseBaseline(b)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if again, err := writeBaseline(entries); err != nil || !bytes.Equal(again, b) {
		t.Errorf("%v; written again it differs:\n%s", err, again)
	}
}

func FuzzBaseline(f *testing.F) {
	f.Add([]byte(`[{"name":"A","unit":"allocs/op","value":1.5}]`))
	f.Add([]byte(`[{"name":"A","unit":"hours","value":1}]`))
	f.Add([]byte(`[{"name":"A","unit":"allocs/op","value":-1}]`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseBaseline(b)
		if err != nil {
			if entries != nil {
				t.Errorf("%v beside %v", entries, err)
			}
			return
		}
		text, err := writeBaseline(entries)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseBaseline(text); err != nil || len(again) != len(entries) {
			t.Errorf("%v became %v, %v", entries, again, err)
		}
		if !json.Valid(text) {
			t.Errorf("not JSON: %s", text)
		}
	})
}
