package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194560 100 0 0 0 1234 66 7 8 20 0 9 0 555 123 456"
	for _, name := range []string{"relay", "a b", "x) R 9 (y", ""} {
		got, err := parseStat([]byte("42 (" + name + ")" + rest))
		if err != nil || got != 13*time.Second {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "42 relay S 1", "42 (relay) S 1 2", "42 (r) S 1 2 3 0 -1 4194560 100 0 0 0 x 66"} {
		if got, err := parseStat([]byte(bad)); err == nil || got != 0 {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

func TestParseStatus(t *testing.T) {
	if got, err := parseStatus([]byte("Name:\tx\nVmPeak:\t 9 kB\nVmRSS:\t   12345 kB\nRssAnon:\t1 kB\n")); err != nil || got != 12345<<10 {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "Name:\tzombie\n", "VmRSS:\t 1 MB\n", "VmRSS:\t kB\n"} {
		if got, err := parseStatus([]byte(bad)); err == nil || got != 0 {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

func TestParseMachine(t *testing.T) {
	total, busy, err := parseMachine([]byte("cpu  100 1 200 5000 50 3 4 5 7 7\ncpu0 1 1 1 1 1 1 1 1 1 1\n"))
	if err != nil || total != 53630*time.Millisecond || busy != 3130*time.Millisecond {
		t.Errorf("%v, %v, %v", total, busy, err)
	}
	for _, bad := range []string{"", "cpu0 1 1 1 1 1 1 1 1", "cpu 1 1", "cpu 1 1 1 1 1 x 1 1"} {
		if total, busy, err := parseMachine([]byte(bad)); err == nil || total != 0 || busy != 0 {
			t.Errorf("%q: %v, %v, %v", bad, total, busy, err)
		}
	}
	// Ten seconds of two processors: they worked for twelve, nine were ours.
	a := usage{total: time.Hour, busy: time.Minute, own: time.Second}
	b := usage{a.total + 20*time.Second, a.busy + 12*time.Second, a.own + 9*time.Second}
	if got := b.others(a); got != 0.15 {
		t.Errorf("others used %v", got)
	}
}

// The kernel's files are as the parsers take them to be.
func TestOwnProcess(t *testing.T) {
	if used, err := cpuTime(os.Getpid()); err != nil || used < 0 {
		t.Errorf("%v, %v", used, err)
	}
	if u, err := (&family{}).usage(); err != nil || u.busy < u.own || u.total < u.busy {
		t.Errorf("%+v, %v", u, err)
	}
	if size, err := rss(os.Getpid()); err != nil || size < 1<<20 {
		t.Errorf("%d, %v", size, err)
	}
}

const wrkText = `Running 4s test @ http://pbx.localhost:1234/1kb
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.84ms    1.17ms  33.77ms   88.11%
  90581 requests in 4.01s, 99.86MB read
Requests/sec:  22588.60

`

func TestParseWrk(t *testing.T) {
	const good = `{"requests":90581,"micros":4010000,"p50":2700,"connect":0,"read":0,"write":0,"status":0,"timeout":0}`
	r, err := parseWrk([]byte(wrkText + good + "\n"))
	if err != nil || r.Requests != 90581 || r.P50 != 2700 || r.Micros != 4010000 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{
		"", "x", "{", strings.Replace(good, `"status":0`, `"status":7`, 1), strings.Replace(good, `"timeout":0`, `"timeout":1`, 1),
		strings.Replace(good, "90581", "0", 1), strings.Replace(good, "90581", "many", 1),
	} {
		if r, err := parseWrk([]byte(wrkText + bad)); err == nil || r != (wrkResult{}) {
			t.Errorf("%s: %+v, %v", bad, r, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("42 (x) y) S 1 2 3 0 -1 4194560 100 0 0 0 1234 66 7"))
	f.Add([]byte("VmRSS:\t 1 kB\n"))
	f.Add([]byte(wrkText + `{"requests":1,"micros":1}`))
	f.Add([]byte(straceTable))
	f.Fuzz(func(t *testing.T, b []byte) {
		if used, err := parseStat(b); used < 0 || err != nil && used != 0 {
			t.Errorf("stat: %v, %v", used, err)
		}
		if size, err := parseStatus(b); size < 0 || err != nil && size != 0 {
			t.Errorf("status: %v, %v", size, err)
		}
		if r, err := parseWrk(b); err == nil && r.Requests <= 0 {
			t.Errorf("wrk: %+v", r)
		}
		if calls, err := parseStrace(b); err == nil && len(calls) == 0 || err != nil && calls != nil {
			t.Errorf("strace: %v, %v", calls, err)
		}
	})
}

func TestSummaries(t *testing.T) {
	if s := summarize([]float64{9, 1, 5}); s != (summary{5, 1, 9}) || s.spread() != "± 80%" {
		t.Errorf("%+v %s", s, s.spread())
	}
	if s := summarize([]float64{4, 2}); s.median != 3 {
		t.Errorf("%+v", s)
	}
	// A round in which everything was slow does not count twice.
	if s := summarize(ratios([]sample{{value: 2}, {value: 20}, {value: 2}}, []sample{{value: 1}, {value: 10}, {value: 1}})); s.median != 2 || s.high != 2 {
		t.Errorf("%+v", s)
	}
}

// readBenchmarks holds the file to the format's grammar and returns the result
// lines by name, without the number of processors.
func readBenchmarks(t *testing.T, file string) map[string][]map[string]float64 {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]map[string]float64)
	config := regexp.MustCompile(`^([a-z][^\s:]*: .+|Unit \S+ better=(lower|higher))$`)
	name := regexp.MustCompile(`^(Benchmark[A-Z]\S*)-[0-9]+$`)
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if config.MatchString(line) {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 4 || len(fields)%2 != 0 || !name.MatchString(fields[0]) {
			t.Fatalf("not a line of the benchmark format: %q", line)
		}
		if n, err := strconv.Atoi(fields[1]); err != nil || n < 1 {
			t.Errorf("%q: iterations: %d, %v", line, n, err)
		}
		values := make(map[string]float64)
		for i := 2; i < len(fields); i += 2 {
			if values[fields[i+1]], err = strconv.ParseFloat(fields[i], 64); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
		key := name.FindStringSubmatch(fields[0])[1]
		out[key] = append(out[key], values)
	}
	return out
}
