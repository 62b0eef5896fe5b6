package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/pprof"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"trunkline/bench/load"
	"trunkline/internal/selfca"
)

func TestGroups(t *testing.T) {
	for want, stack := range map[string][]string{
		"unknown":               nil,
		"kernel: write":         {"internal/runtime/syscall.Syscall6", "syscall.write", "syscall.Write", "internal/poll.(*FD).Write", "net.(*conn).Write"},
		"kernel: read":          {"internal/runtime/syscall.Syscall6", "syscall.read", "syscall.Read", "internal/poll.(*FD).Read"},
		"kernel: other":         {"internal/runtime/syscall.Syscall6", "syscall.accept4"},
		"kernel: epoll":         {"internal/runtime/syscall.Syscall6", "internal/runtime/syscall.EpollWait", "runtime.netpoll", "runtime.findRunnable"},
		"kernel: futex":         {"runtime.futex", "runtime.futexsleep", "runtime.schedule"},
		"ciphers":               {"crypto/internal/fips140/aes/gcm.gcmAesEnc", "crypto/tls.(*Conn).Write"},
		"crypto/tls":            {"crypto/tls.(*halfConn).encrypt", "crypto/tls.(*Conn).Write"},
		"scheduling":            {"runtime.runqgrab", "runtime.findRunnable", "runtime.schedule"},
		"channels":              {"runtime.lock2", "runtime.selectgo", "github.com/hashicorp/yamux.(*Session).send"},
		"allocation and stacks": {"runtime.memclrNoHeapPointers", "runtime.mallocgc", "trunkline/relay/edge.f"},
		"garbage collection":    {"runtime.scanobject", "runtime.gcDrain", "runtime.gcBgMarkWorker"},
		"copying and clearing":  {"runtime.memmove", "bytes.(*Buffer).Write", "trunkline/relay/edge.f"},
		"trunkline/relay/edge":  {"runtime.mapaccess2", "bytes.Equal", "trunkline/relay/edge.(*conn).serve", "trunkline/relay.f"},
		"runtime and library":   {"runtime.procyield", "runtime.goexit"},
	} {
		if got := groupOf(stack); got != want {
			t.Errorf("%v is %q, not %q", stack, got, want)
		}
	}
}

func TestTopGroups(t *testing.T) {
	at := func(names ...string) []*profile.Location {
		var out []*profile.Location
		for _, n := range names {
			out = append(out, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: n}}}})
		}
		return out
	}
	p := &profile.Profile{Sample: []*profile.Sample{
		{Location: at("a/b.f"), Value: []int64{1, 10}},
		{Location: at("c/d.g"), Value: []int64{6, 60}},
		{Location: at("bytes.Equal", "a/b.h"), Value: []int64{2, 20}},
		{Location: at("e.f"), Value: []int64{1, 10}},
	}}
	top, total := topGroups(p, 2)
	if total != 100 || !slices.Equal(top, []share{{"c/d", 0.6}, {"a/b", 0.3}}) {
		t.Errorf("%v of %d", top, total)
	}
	if top, total := topGroups(&profile.Profile{}, 2); len(top) != 0 || total != 0 {
		t.Errorf("of nothing: %v of %d", top, total)
	}
}

// A profile is taken while there is load, and kept.
func TestProfile(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	s := httptest.NewServer(mux)
	defer s.Close()
	w := &world{o: options{seconds: 1}, first: door{admin: strings.TrimPrefix(s.URL, "http://")}}
	file := filepath.Join(t.TempDir(), "p.pprof")
	var loads int
	p, err := w.profile(t.Context(), file, func() error {
		loads++
		for range 100000 {
			bytes.Repeat([]byte("x"), 100)
		}
		return nil
	})
	if err != nil || loads == 0 {
		t.Fatal(loads, err)
	}
	if top, total := topGroups(p, profileTop); total == 0 || len(top) == 0 {
		t.Errorf("%v of %d", top, total)
	}
	if b, err := os.ReadFile(file); err != nil || len(b) == 0 {
		t.Error("the profile is not kept:", err)
	}
	w.first.admin = "127.0.0.1:1"
	if _, err := w.profile(t.Context(), file, func() error { runtime.Gosched(); return nil }); err == nil {
		t.Error("a profile from nowhere")
	}
}

const straceTable = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.003000           3      1000           write
 40.00    0.002000           2      1500       700 read
------ ----------- ----------- --------- --------- ----------------
100.00    0.005000           2      2500       700 total
`

func TestParseStrace(t *testing.T) {
	got, err := parseStrace([]byte(straceTable))
	if err != nil || !slices.Equal(got, []call{{"read", 1500}, {"write", 1000}}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "x\n", " 60.00 0.003 3 many write\n", "100.00 0.005 2 2500 700 total\n"} {
		if got, err := parseStrace([]byte(bad)); err == nil || got != nil {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

// The calls of a real process are counted, of all its threads.
func TestTrace(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip(err)
	}
	runtime.LockOSThread() // see family
	defer runtime.UnlockOSThread()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fam := &family{dir: t.TempDir()}
	defer fam.stop()
	w := &world{o: options{self: []string{self}}, fam: fam}
	ca, err := selfca.Open(t.TempDir(), zone)
	if err != nil {
		t.Fatal(err)
	}
	w.ca = ca
	cert, key, err := leafPEM(w, zone)
	if err != nil {
		t.Fatal(err)
	}
	var ready portalReady
	c, err := fam.rexec(t.Context(), w.o, "portal", portalOrder{cert, key}, &ready)
	if err != nil {
		t.Fatal(err)
	}
	const gets = 50
	f := &figure{measure: func(ctx context.Context, _ *world, p proxy, _ bool) (sample, error) {
		e, err := p.endpoint(ctx, edgeHTTP)
		if err != nil {
			return sample{}, err
		}
		c, err := e.Dial(ctx, nil)
		if err != nil {
			return sample{}, err
		}
		defer c.Close()
		return sample{ops: gets}, load.GetMany([]*load.Wire{c}, gets, "/1kb", 1<<10)
	}}
	calls, err := w.trace(t.Context(), f, ready.server(c).proxy(viaDirect))
	if err != nil {
		t.Skip("strace may not be allowed here: ", err)
	}
	i := slices.IndexFunc(calls, func(c call) bool { return c.name == "write" })
	if i < 0 || calls[i].n < 1 || calls[i].n > 3 {
		t.Errorf("a response is a write or little more: %v", calls)
	}
}
