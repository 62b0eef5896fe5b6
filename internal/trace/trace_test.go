package trace_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"trunkline/internal/trace"
)

func tracer(t *testing.T, c trace.Config, r prometheus.Registerer) *trace.Tracer {
	t.Helper()
	x, err := trace.New(trace.Options{Config: c, Plane: "relay", Log: zap.NewNop(), Registerer: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// What is no traceparent of a sampled span is continued by nothing.
func TestOnlyASampledParentIsContinued(t *testing.T) {
	x := tracer(t, trace.Config{Endpoint: "http://127.0.0.1:1/v1/traces", Sample: 1}, nil)
	for _, p := range []string{
		"", "x", strings.Repeat("0", 55), strings.Replace(parent, "-01", "-00", 1), parent + "-more", strings.Repeat("x", 1<<20),
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "ff" + parent[2:],
	} {
		if s := x.Continue(p, "n", trace.Server, time.Now()); s != nil {
			t.Errorf("%.60q is continued", p)
		}
	}
	s := x.Continue(parent, "n", trace.Server, time.Now())
	if got := s.Parent(); len(got) != len(parent) || got[:36] != parent[:36] || got == parent {
		t.Errorf("a child of %s is %q", parent, got)
	}
	s.End(nil)
}

// Off is nil, and costs nothing.
func TestOffCostsNothing(t *testing.T) {
	x := tracer(t, trace.Config{Sample: 1}, nil)
	if x != nil {
		t.Fatal("there is a tracer without an endpoint")
	}
	if n := testing.AllocsPerRun(100, func() {
		s := x.Sampled(parent, "n", trace.Server, time.Time{})
		s.Set("a", "b")
		s.SetInt("c", 1)
		s.End(nil)
		_ = s.Parent()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A collector that hangs holds nobody up; what finds no room, and what it did
// not take, is counted.
func TestAStalledCollectorLosesSpansAndHoldsNobodyUp(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(hang)
	r := prometheus.NewRegistry()
	x := tracer(t, trace.Config{Endpoint: srv.URL + "/v1/traces", Sample: 1}, r)
	const spans = 6000 // more than fit
	for range spans {
		x.Begin("n", trace.Server).End(nil)
	}
	var lost float64
	deadline := time.Now().Add(time.Minute)
	for lost < spans-4096 && time.Now().Before(deadline) {
		lost = 0
		fs, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fs[0].GetMetric() {
			if m.GetLabel()[0].GetValue() != "exported" {
				lost += m.GetCounter().GetValue()
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	if lost < spans-4096 {
		t.Errorf("%v of %d spans are counted as lost", lost, spans)
	}
	if n := testutil.CollectAndCount(r); n != 3 {
		t.Errorf("%d series, want one for each outcome", n)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		config trace.Config
		want   string
	}{
		{trace.Config{}, ""},
		{trace.Config{Endpoint: "https://collector:4318/v1/traces", Sample: 1}, ""},
		{trace.Config{Endpoint: "collector:4318"}, "endpoint: "},
		{trace.Config{Endpoint: "http://collector:4318"}, "endpoint: "},
		{trace.Config{Endpoint: "http://me:hush@collector:4318/v1/traces"}, "endpoint: "},
		{trace.Config{Sample: 1.5}, "sample: "},
		{trace.Config{HeadersFile: "x"}, "headers_file: "},
	} {
		err := c.config.Validate()
		if (err == nil) != (c.want == "") || err != nil && (!strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
}

// Headers are the collector's secret: a file that others can read, or that is
// malformed, is refused without being quoted.
func TestHeadersFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "headers")
	try := func(text string, mode os.FileMode) error {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		x, err := trace.New(trace.Options{Config: trace.Config{Endpoint: "http://127.0.0.1:1/v1/traces", HeadersFile: file}, Plane: "relay", Log: zap.NewNop()})
		x.Close()
		return err
	}
	if err := try("# ours\nAuthorization: Bearer hush\n", 0o600); err != nil {
		t.Error(err)
	}
	for _, err := range []error{try("A: b", 0o644), try("hush", 0o600), try("A: hush\x01", 0o600)} {
		if err == nil || !strings.HasPrefix(err.Error(), "headers_file: ") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v", err)
		}
	}
}
