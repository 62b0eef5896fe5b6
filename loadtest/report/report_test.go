package report_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline/loadtest/report"
	"trunkline/loadtest/result"
)

func table(t *testing.T, r *result.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Print(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func html(t *testing.T, r *result.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	text := table(t, sampleRun{}.result())
	for _, want := range []string{
		"storm: 2m0s measured, after 10s of warm-up", "browse  4800", "14  connection_reset", "relay r1", "PASS  recovered(95%) <= 30s",
		"FAIL  error_ratio < 0.01%", "what to look at", "0 s before: relay r1 killed", "first at 1m0s",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// A run without anything to look at says so by saying nothing.
func TestFindings(t *testing.T) {
	if got := report.Findings(sampleRun{calm: true}.result()); len(got) != 0 {
		t.Errorf("of a calm run: %q", got)
	}
	r := sampleRun{calm: true}.result()
	r.Kinds["bulk"].Steps[3].Checked.Corrupted = 7
	r.Kinds["bulk"].InFlight = 12
	r.Interrupted = "SIGINT"
	r.Generators[0].Lost = "no word for 10s"
	r.Generators[0].CPU.Set(5, 8)
	for i := range 40 {
		r.Relays[1].Memory.Set(80+i, 90e6)
		r.Tunnels.Set(119, 499)
	}
	got := strings.Join(report.Findings(r), "\n")
	for _, want := range []string{"7 corrupted", "12 of bulk had no answer yet", "SIGINT", "no word for 10s", "all of its machine's 8 processors", "r2's memory grew", "499 tunnels were up at the end, of 500"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// A run of which nothing is known has a report too.
func TestNothingMeasured(t *testing.T) {
	r := &result.Result{Schema: result.Schema, Scenario: result.Scenario{Name: "storm"}, Began: began, Ended: began, Step: 1}
	if text := table(t, r); !strings.Contains(text, "storm: 0s measured") {
		t.Error(text)
	}
	if page := html(t, r); strings.Contains(page, "<svg") {
		t.Error("it draws nothing")
	}
}

// Names come from scenarios, generators and servers that may be anyone's.
func TestHostileNames(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`
	r := sampleRun{}.result()
	r.Scenario = result.Scenario{Name: evil, Text: evil}
	r.Kinds[evil] = r.Kinds["bulk"]
	r.Kinds[evil].Steps[0].Errors = map[string]int64{evil: 1}
	r.Relays[0].Name, r.Generators[0].Name, r.Generators[0].Lost = evil, evil, evil
	r.Events[0].Text, r.Interrupted, r.Tool.Version, r.Machine.CPU = evil, evil, evil, evil
	r.Thresholds[0].Got = evil
	page := html(t, r)
	if strings.Contains(page, "<script") || strings.Contains(page, "<img") || strings.Contains(page, evil) {
		t.Error("markup of a name is in the page")
	}
	if n := strings.Count(page, "&lt;script&gt;"); n < 10 {
		t.Errorf("the names are in the page %d times", n)
	}
	r.Events[0].Text, r.Interrupted, r.Generators[0].Lost, r.Thresholds[0].Got = "\x1b[2J\u202e", "\x1b[2J", "\x1b[2J", "\x1b]0;x\a"
	if text := table(t, r); strings.ContainsAny(text, "\x1b\a\u202e") {
		t.Error("a text controls the terminal")
	}
}

// The page needs nothing but itself.
func TestSelfContained(t *testing.T) {
	page := html(t, sampleRun{}.result())
	for _, bad := range []string{"http://", "https://", "src=", "<script", "<link", "@import", "url("} {
		if strings.Contains(page, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
	for _, bad := range []string{"NaN", "Inf", "ZgotmplZ", "<nil>"} {
		if strings.Contains(page, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	r := sampleRun{}.result()
	for _, k := range r.Kinds {
		k.Steps = k.Steps[:10] // each histogram is compressed
	}
	document, page := filepath.Join(dir, "run.json"), filepath.Join(dir, "run.html")
	for range 2 { // the second replaces the first
		if err := errors.Join(report.WriteJSON(document, r), report.WriteHTML(page, r)); err != nil {
			t.Fatal(err)
		}
	}
	again, err := report.Read(document)
	if err != nil {
		t.Fatal(err)
	}
	if html(t, again) != html(t, r) {
		t.Error("what was read shows otherwise")
	}
	if b, err := os.ReadFile(page); err != nil || string(b) != html(t, r) {
		t.Errorf("the page is another, %v", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}
	if _, err := report.Read(page); err == nil || !strings.Contains(err.Error(), page) {
		t.Errorf("a page is read as a document: %v", err)
	}
	if err := report.WriteJSON(filepath.Join(dir, "nowhere", "run.json"), r); err == nil || !strings.Contains(err.Error(), "name another file") {
		t.Errorf("no such directory: %v", err)
	}
}

// Noise is no change, a real one is seen, and its direction.
func TestCompare(t *testing.T) {
	base := sampleRun{seed: 1, calm: true}
	before := base.result()
	print := func(after sampleRun) (*report.Comparison, string) {
		t.Helper()
		c, err := report.Compare(before, after.result())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := c.Print(&b); err != nil {
			t.Fatal(err)
		}
		return c, b.String()
	}
	for seed := range uint64(6) {
		after := base
		after.seed = 2 + seed
		if c, text := print(after); len(c.Changed()) != 0 || !strings.Contains(text, "No change beyond the noise") {
			t.Errorf("the same again, seed %d:\n%s", after.seed, text)
		}
	}
	after := base
	after.seed, after.slower = 50, 1.15
	if _, text := print(after); !strings.Contains(text, "% WORSE") && !strings.Contains(text, "%  WORSE") || strings.Contains(text, "better") {
		t.Errorf("slower:\n%s", text)
	}
	after.slower, after.failing = 0.5, 100
	c, text := print(after)
	if len(c.Changed()) < 3 || !strings.Contains(text, "better") || !strings.Contains(text, "WORSE") {
		t.Errorf("quicker, with errors:\n%s", text)
	}
}

func TestCompareRefuses(t *testing.T) {
	for why, spoil := range map[string]func(*result.Result){
		`"storm", the other of "soak"`: func(r *result.Result) { r.Scenario.Name = "soak" },
		"was changed between":          func(r *result.Result) { r.Scenario.Text += "#" },
		"4 x AMD EPYC":                 func(r *result.Result) { r.Machine.CPUs = 4 },
		"steps of":                     func(r *result.Result) { r.Step = 2 },
		"interrupted":                  func(r *result.Result) { r.Interrupted = "SIGINT" },
		"generators made":              func(r *result.Result) { r.Generators = nil },
		"lost a generator":             func(r *result.Result) { r.Generators[0].Lost = "killed" },
		"traffic of":                   func(r *result.Result) { delete(r.Kinds, "bulk") },
		"the other 1m0s":               func(r *result.Result) { r.Ended = r.Began.Add(time.Minute) },
	} {
		b := sampleRun{}.result()
		spoil(b)
		if _, err := report.Compare(sampleRun{}.result(), b); !errors.Is(err, report.ErrUnlike) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
	a, b := sampleRun{}.result(), sampleRun{}.result()
	a.Ended, b.Ended = a.Began.Add(3*time.Second), b.Began.Add(3*time.Second)
	if _, err := report.Compare(a, b); !errors.Is(err, report.ErrUnlike) {
		t.Errorf("three seconds: %v", err)
	}
}
