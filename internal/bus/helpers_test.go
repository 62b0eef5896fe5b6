package bus_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds what a test waits for; nothing waits for it on success.
const testTimeout = 30 * time.Second

func open(t *testing.T, c bus.Config) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), c, zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)))
	if err != nil {
		t.Fatal(err)
	}
	b.SetTimesForTest(bus.LeaseTTL, 100*time.Millisecond)
	t.Cleanup(func() { b.Close() })
	return b
}

// control is an embedded server with its buckets, as control has it.
func control(t *testing.T, c bus.Config) *bus.Bus {
	t.Helper()
	b := open(t, c)
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func login(t *testing.T, relay id.Relay) bus.Login {
	return bus.Login{User: "user-of-" + string(relay), PasswordFile: secretFile(t, "secret of "+string(relay)), Relay: relay}
}

// dial is a relay's connection by l.
func dial(t *testing.T, addr string, l bus.Login) *bus.Bus {
	t.Helper()
	b := open(t, bus.Config{URL: "nats://" + addr, User: l.User, PasswordFile: l.PasswordFile})
	eventually(t, "connected", b.Connected)
	return b
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Fatalf("error %v, want a fault %s", err, code)
	}
}

// view is what a watcher knows, kept as a relay would.
type view struct {
	mu     sync.Mutex
	epochs []string // one for each Reset
	synced int
	have   map[string]string
	revs   map[string]uint64
	broken string // the first breach of Watch's promises
}

func watch(t *testing.T, b *bus.Bus, bucket string) *view {
	t.Helper()
	v := &view{have: map[string]string{}, revs: map[string]uint64{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := bus.NewBucket[string](b, bucket).Watch(ctx, v.apply); err != nil && err != bus.ErrClosed {
			t.Errorf("watch: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if v.broken != "" {
			t.Error(v.broken)
		}
	})
	return v
}

func (v *view) apply(e bus.Event[string]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case e.Kind == bus.Reset:
		v.epochs = append(v.epochs, e.Epoch)
		clear(v.have)
		clear(v.revs)
	case len(v.epochs) == 0:
		v.broken = "an event before the first Reset"
	case e.Epoch != v.epochs[len(v.epochs)-1] || e.Epoch == "":
		v.broken = "an event of another epoch than its Reset's"
	case e.Kind == bus.Synced:
		if v.synced++; v.synced > len(v.epochs) {
			v.broken = "more Synced than Reset"
		}
	case e.Kind == bus.Put:
		if e.Rev <= v.revs[e.Key] {
			v.broken = "revisions go backwards"
		}
		v.have[e.Key], v.revs[e.Key] = e.Value, e.Rev
	case e.Kind == bus.Delete:
		delete(v.have, e.Key)
	}
}

func (v *view) is(want map[string]string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.synced > 0 && maps.Equal(v.have, want)
}

func (v *view) resets() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.epochs)
}

// syncs is how often a snapshot was complete.
func (v *view) syncs() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.synced
}
