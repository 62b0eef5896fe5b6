package result_test

import (
	"bytes"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/loadtest/result"
)

var began = time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)

// sample is a result in which every field is set.
func sample() *result.Result {
	rec := result.NewRecorder(began, time.Second)
	browse, bulk := rec.Kind("browse"), rec.Kind("bulk")
	browse.OK(began.Add(-time.Second), 9*time.Second, 10)
	for i := range 100 {
		browse.OK(began.Add(time.Duration(i)*100*time.Millisecond), time.Duration(i+1)*time.Millisecond, 1000)
	}
	browse.Failed(began.Add(3*time.Second), "timeout")
	bulk.OK(began, time.Second, 1<<20)
	bulk.Sent(3)
	bulk.Sent(-1)
	bulk.Check(began, result.Checked{Lost: 3, Duplicated: 2, Corrupted: 1})
	nan := math.NaN()
	r := &result.Result{
		Schema: result.Schema, Tool: result.Tool{Version: "v1", Go: "go1.26"}, Machine: result.ThisMachine(),
		Scenario: result.Scenario{Name: "browse", Text: "# pages\nname: browse\n"},
		Began:    began, Ended: began.Add(10 * time.Second), WarmUp: 2, Step: 1, Interrupted: "SIGINT", Kinds: rec.Kinds(),
		Tunnels:    result.Series{50, 50, 20, 30, 48, nan, 47, 50, 50, 50},
		Relays:     []result.Process{{Name: "r1", CPU: result.Series{0.5, 1.5}, Memory: result.Series{100, 100, 110, 110, nan, 110, 121, 121}}},
		Generators: []result.Generator{{Process: result.Process{Name: "g1"}, Devices: 50, Lost: "killed"}},
		Events:     []result.Event{{At: -1, Text: "warming up"}, {At: 2.5, Text: "relay r1 killed", Disturbs: true}},
	}
	return r
}

func write(t testing.TB, r *result.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(t *testing.T, text string) *result.Result {
	t.Helper()
	r, err := result.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	text := write(t, sample())
	if again := write(t, read(t, text)); again != text {
		t.Errorf("written\n%s\nread and written\n%s", text, again)
	}
}

// A request is counted where it was due, the warm-up apart.
func TestTotals(t *testing.T) {
	r := sample()
	total := r.Total("browse")
	if total.OK != 100 || total.Failed() != 1 || total.Count() != 101 || total.Errors["timeout"] != 1 || total.Checked.Bytes != 100_000 {
		t.Errorf("%+v", total)
	}
	if k := r.Kinds["browse"]; len(k.Steps) != 10 || k.Steps[3].Count() != 11 || k.WarmUp.OK != 1 {
		t.Errorf("%+v", k)
	}
	if q := total.Latency.Quantile(0.5); q < 50*time.Millisecond || q > 51*time.Millisecond {
		t.Errorf("the median is %v", q)
	}
	if all := r.Total(""); all.OK != 101 || all.Checked.Corrupted != 1 {
		t.Errorf("%+v", all)
	}
}

// What several generators saw is what one would have seen.
func TestMerge(t *testing.T) {
	a, b := sample(), sample()
	b.Relays = append(b.Relays, result.Process{Name: "r2"})
	b.Tunnels, b.Ended = b.Tunnels[:3], b.Ended.Add(time.Second)
	if err := a.Merge(read(t, write(t, b))); err != nil {
		t.Fatal(err)
	}
	total, one := a.Total("browse"), sample().Total("browse")
	if total.OK != 2*one.OK || total.Errors["timeout"] != 2 || total.Latency.Count() != 200 || total.Latency.Quantile(0.99) != one.Latency.Quantile(0.99) {
		t.Errorf("%+v", total)
	}
	if a.Kinds["bulk"].InFlight != 4 || a.Kinds["browse"].InFlight != 0 {
		t.Errorf("%d in flight", a.Kinds["bulk"].InFlight)
	}
	if a.Tunnels[0] != 100 || a.Tunnels[4] != 48 || len(a.Relays) != 2 || len(a.Generators) != 2 || !a.Ended.Equal(b.Ended) {
		t.Errorf("%+v", a)
	}
	if err := a.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*result.Result){
		"scenarios": func(r *result.Result) { r.Scenario.Text += "#" },
		"steps":     func(r *result.Result) { r.Step = 2 },
		"begun":     func(r *result.Result) { r.Began = r.Began.Add(1) },
	} {
		c := sample()
		spoil(c)
		if err := a.Merge(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However many record at once, nothing is lost.
func TestRecorder(t *testing.T) {
	rec := result.NewRecorder(began, time.Second)
	k := rec.Kind("browse")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				k.OK(began.Add(time.Duration(j%4)*time.Second), time.Duration(i+1)*time.Millisecond, 1)
				rec.Kind("browse").Failed(began, "reset")
			}
		})
	}
	wg.Wait()
	total := rec.Kinds()["browse"].Steps
	if len(total) != 4 || total[0].Errors["reset"] != 8000 || total[3].OK != 2000 {
		t.Errorf("%+v", total)
	}
	if got := k.Total(); got.OK != 8000 || got.Failed() != 8000 || got.Latency.Count() != 8000 {
		t.Errorf("%+v", got)
	}
	if got := k.Since(2); got.OK != 4000 || got.Failed() != 0 {
		t.Errorf("%+v", got)
	}
}

// What is due after the last step that a result can hold counts in that one.
func TestLateSteps(t *testing.T) {
	rec := result.NewRecorder(began, time.Second)
	rec.Kind("browse").OK(began.Add(24*time.Hour), time.Millisecond, 0)
	if n := len(rec.Kinds()["browse"].Steps); n != result.MaxSteps {
		t.Errorf("%d steps", n)
	}
	for _, d := range []time.Duration{time.Minute, 20 * time.Minute, 21 * time.Minute, 3 * time.Hour, 24 * time.Hour, 365 * 24 * time.Hour} {
		if s := result.StepFor(d); s < time.Second || d > s*result.MaxSteps || s > time.Second && d < s*result.MaxSteps/10 {
			t.Errorf("a run of %v has steps of %v", d, s)
		}
	}
}

// A server may make codes up: there is a bound to them, and the count is right.
func TestManyCodes(t *testing.T) {
	rec := result.NewRecorder(began, time.Second)
	k := rec.Kind("browse")
	for i := range 1000 {
		k.Failed(began, strings.Repeat("x", i%300)+"\x1b"[:i%2])
	}
	if got := k.Total(); got.Failed() != 1000 || len(got.Errors) > 64 || got.Errors["other"] < 500 {
		t.Errorf("%d codes, %d errors", len(got.Errors), got.Failed())
	}
	r := sample()
	r.Kinds = rec.Kinds()
	read(t, write(t, r))
}

// The lock of the hot path is not worth a measurement: it is counted instead
// that recording allocates only as buckets and steps come to be.
func TestRecordingAllocatesNothing(t *testing.T) {
	k := result.NewRecorder(began, time.Second).Kind("browse")
	n := testing.AllocsPerRun(2000, func() { k.OK(began, 5*time.Millisecond, 1) })
	if n > 0.5 {
		t.Errorf("%v allocations for each request", n)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*result.Result)
		says  string
	}{
		"newer":      {func(r *result.Result) { r.Schema = result.Schema + 1 }, "use a newer one"},
		"older":      {func(r *result.Result) { r.Schema = 0 }, "schema is 0"},
		"backwards":  {func(r *result.Result) { r.Ended = r.Began.Add(-1) }, "from"},
		"no step":    {func(r *result.Result) { r.Step = 0 }, "step"},
		"steps":      {func(r *result.Result) { r.Tunnels = make(result.Series, result.MaxSteps+1) }, "values"},
		"negative":   {func(r *result.Result) { r.Tunnels[0] = -1 }, "value of -1"},
		"latencies":  {func(r *result.Result) { r.Kinds["bulk"].Steps[0].OK++ }, "latencies"},
		"null":       {func(r *result.Result) { r.Kinds["x"] = nil }, "null"},
		"terminal":   {func(r *result.Result) { r.Relays[0].Name = "\x1b[2J" }, "called"},
		"code":       {func(r *result.Result) { r.Kinds["bulk"].Steps[0].Errors = map[string]int64{"a\nb": 1} }, "errors"},
		"threshold":  {func(r *result.Result) { r.Thresholds = []result.Outcome{{Threshold: "x"}} }, "threshold"},
		"long event": {func(r *result.Result) { r.Events[0].Text = strings.Repeat("x", 3000) }, "event"},
	} {
		r := sample()
		c.spoil(r)
		got, err := result.Read(strings.NewReader(write(t, r)))
		if err == nil || got != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	text := write(t, sample())
	for name, bad := range map[string]string{
		"unknown field": strings.Replace(text, `"schema"`, `"scheme":1,"schema"`, 1),
		"trailing":      text + "{}",
		"cut":           text[:len(text)/2],
		"histogram":     strings.Replace(text, `"latency":"H`, `"latency":"I`, 1),
	} {
		if got, err := result.Read(strings.NewReader(bad)); err == nil || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// Time goes on in a bubble of its own: due is compared on the monotonic clock.
func TestStepAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		rec := result.NewRecorder(now.Add(time.Minute), 2*time.Second)
		if got := rec.StepAt(time.Now()); got != -1 {
			t.Errorf("warm-up is in step %d", got)
		}
		time.Sleep(time.Minute + 5*time.Second)
		if got := rec.StepAt(time.Now()); got != 2 {
			t.Errorf("5 s are in step %d", got)
		}
	})
}

func FuzzRead(f *testing.F) {
	small := sample() // the fuzzer takes long over what is long
	delete(small.Kinds, "browse")
	text := write(f, small)
	f.Add([]byte(text))
	f.Add([]byte(strings.ReplaceAll(text, "bulk", "")))
	f.Add([]byte(`{"schema":1,"step_seconds":1,"began":"2026-05-01T08:00:00Z","ended":"2026-05-01T08:00:01Z","kinds":{},"tunnels":[null]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := result.Read(bytes.NewReader(b))
		if err != nil {
			if r != nil {
				t.Errorf("%v beside %v", r, err)
			}
			return
		}
		once := write(t, r)
		if again := write(t, read(t, once)); again != once {
			t.Errorf("written\n%s\nread and written\n%s", once, again)
		}
		for _, metric := range []string{"p99 < 1s", "error_ratio < 1%", "recovered(95%) < 1s", "relay_memory_growth < 1%", "tunnels_last > 0"} {
			th, err := result.ParseThreshold(metric)
			if err != nil {
				t.Fatal(err)
			}
			th.Judge(r)
		}
		if err := r.Merge(read(t, once)); err != nil {
			t.Error(err)
		}
	})
}

// A document without an end is read as far as a document may be long.
func TestReadIsBounded(t *testing.T) {
	if got, err := result.Read(spaces{}); err == nil || got != nil || !strings.Contains(err.Error(), "larger than 32 MiB") {
		t.Errorf("%v, %v", got, err)
	}
}

type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	copy(b, bytes.Repeat([]byte(" "), len(b)))
	return len(b), nil
}
