package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// quick is a run of seconds on the sources as they are.
func quick(t *testing.T, only string) (options, *bytes.Buffer) {
	t.Helper()
	for _, program := range []string{"wrk", "nginx", "haproxy"} {
		if _, err := lookup(program); err != nil {
			t.Skip(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	o := defaults()
	o.hurry(func(string) bool { return false })
	o.tunnels, o.megabytes, o.settle = []int{1, 3}, 25, 350*time.Millisecond
	o.self, o.trunkline, o.agent = []string{self}, []string{self, "trunkline"}, []string{self, "agent"}
	o.outDir, o.out, o.only = t.TempDir(), &out, regexp.MustCompile(only)
	return o, &out
}

// A run measures every kind of figure on real processes, says what came out in
// three forms, and leaves nothing behind.
func TestRun(t *testing.T) {
	o, out := quick(t, `IdleTunnel|Request/size=1KiB/conns=64/edge=https|Transfer/way=[a-z]*/edge=http$|WebSocket.*=http$|h2`)
	if err := run(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"mean little", "RSS per idle tunnel of 3, used", "CPU per request, 1 KiB, 64 conn., https", "CPU per GB up, http", "page of 60 assets, h2, https, half within"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	text, err := filepath.Glob(filepath.Join(o.outDir, "*.txt"))
	if err != nil || len(text) != 1 {
		t.Fatalf("result files: %v, %v", text, err)
	}
	lines := readBenchmarks(t, text[0])
	for _, name := range []string{
		"BenchmarkRequest/size=1KiB/conns=64/edge=https/via=relay", "BenchmarkRequest/size=1KiB/conns=64/edge=https/via=forwarded", "BenchmarkRequest/size=1KiB/conns=64/edge=https/via=nginx",
		"BenchmarkWebSocket/size=128B/conns=64/edge=http/via=haproxy", "BenchmarkWebSocket/size=128B/conns=64/edge=http/via=direct",
		"BenchmarkPage/assets=60/proto=h2/edge=https/via=relay",
		"BenchmarkTransfer/way=down/edge=http/via=relay", "BenchmarkTransfer/way=up/edge=http/via=nginx",
		"BenchmarkIdleTunnel/tunnels=1/state=fresh/via=relay", "BenchmarkIdleTunnel/tunnels=3/state=used/via=relay",
	} {
		if len(lines[name]) != 1 {
			t.Errorf("%s has %d lines, want 1", name, len(lines[name]))
		}
	}
	var entries []entry
	b, err := os.ReadFile(strings.TrimSuffix(text[0], ".txt") + ".json")
	if err == nil {
		err = json.Unmarshal(b, &entries)
	}
	if err != nil || len(entries) < 2+4*4+3 {
		t.Errorf("%d JSON entries, %v:\n%s", len(entries), err, b)
	}
	nothingLeft(t)
}

// However a run ends, its processes and files go.
func TestInterrupt(t *testing.T) {
	o, out := quick(t, "conns=1/")
	o.seconds = 60
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	o.out = writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("round 1")) {
			time.AfterFunc(200*time.Millisecond, func() { cancel(interrupted) })
		}
		return out.Write(b)
	})
	began := time.Now()
	if err := run(ctx, o); !errors.Is(err, interrupted) {
		t.Errorf("run returned %v", err)
	}
	if took := time.Since(began); took > 50*time.Second {
		t.Errorf("an interrupted run ended after %v", took)
	}
	nothingLeft(t)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func nothingLeft(t *testing.T) {
	t.Helper()
	if files, err := os.ReadDir(os.TempDir()); err != nil || len(files) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", files, err)
	}
	threads, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(threads) == 0 {
		t.Logf("no list of children on this system: %v", err)
	}
	for _, file := range threads {
		if b, err := os.ReadFile(file); err == nil && len(bytes.TrimSpace(b)) > 0 {
			t.Errorf("processes left: %s", b)
		}
	}
}

// What was said outweighs what --quick means.
func TestHurry(t *testing.T) {
	o := defaults()
	o.rounds = 4
	o.hurry(func(flag string) bool { return flag == "rounds" })
	if o.rounds != 4 || o.seconds != 1 || !o.quick {
		t.Errorf("%+v", o)
	}
}

func TestMissingProgram(t *testing.T) {
	o := defaults()
	o.trunkline, o.agent = []string{"/nonexistent/trunkline"}, []string{"/nonexistent/trunkline-agent"}
	t.Setenv("PATH", t.TempDir())
	if err := run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "make bench-deps") {
		t.Errorf("without wrk: %v", err)
	}
	if err := built(o.trunkline[0]); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("without trunkline: %v", err)
	}
}
