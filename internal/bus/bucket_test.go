package bus_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
)

func TestBucketWrites(t *testing.T) {
	ctx := t.Context()
	k := bus.NewBucket[string](control(t, bus.Config{}), bus.Keys)

	if _, _, err := k.Get(ctx, "pass.a"); !errors.Is(err, bus.ErrNotFound) {
		t.Fatalf("get of nothing: %v", err)
	}
	first, err := k.Create(ctx, "pass.a", "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Create(ctx, "pass.a", "other"); !errors.Is(err, bus.ErrExists) {
		t.Fatalf("second create: %v", err)
	}
	second, err := k.Update(ctx, "pass.a", "two", first)
	if err != nil || second <= first {
		t.Fatalf("update: rev %d after %d, %v", second, first, err)
	}
	if _, err := k.Update(ctx, "pass.a", "late", first); !errors.Is(err, bus.ErrConflict) {
		t.Fatalf("update of an old revision: %v", err)
	}
	if v, rev, err := k.Get(ctx, "pass.a"); v != "two" || rev != second || err != nil {
		t.Fatalf("get: %q %d %v", v, rev, err)
	}
	for range 2 { // the second finds nothing
		if err := k.Delete(ctx, "pass.a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := k.Get(ctx, "pass.a"); !errors.Is(err, bus.ErrNotFound) {
		t.Fatalf("get of what was deleted: %v", err)
	}
	if _, err := k.Create(ctx, "pass.a", "again"); err != nil {
		t.Fatalf("create of what was deleted: %v", err)
	}
}

// What was changed since it was read is not deleted.
func TestDeleteAt(t *testing.T) {
	ctx := t.Context()
	b := control(t, bus.Config{})
	k := bus.NewBucket[string](b, bus.Routes)
	read, err := k.Put(ctx, "r1.dev", "old")
	if err != nil {
		t.Fatal(err)
	}
	now, err := k.Put(ctx, "r1.dev", "new")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.DeleteAt(ctx, "r1.dev", read); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("an old revision: %v", err)
	}
	if v, _, err := k.Get(ctx, "r1.dev"); v != "new" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	seen := watch(t, b, bus.Routes)
	eventually(t, "the record", func() bool { return seen.is(map[string]string{"r1.dev": "new"}) })
	if err := k.DeleteAt(ctx, "r1.dev", now); err != nil {
		t.Error(err)
	}
	eventually(t, "its end, told", func() bool { return seen.is(nil) })
	if err := k.DeleteAt(ctx, "r1.dev", now); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("again: %v", err)
	}
}

// A handover is redeemed by one relay, however many try at once.
func TestUpdateIsForOneOnly(t *testing.T) {
	b := control(t, bus.Config{})
	k := bus.NewBucket[bus.Handover](b, bus.Handovers)
	rev, err := k.Create(t.Context(), "h", bus.Handover{})
	if err != nil {
		t.Fatal(err)
	}
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch _, err := k.Update(t.Context(), "h", bus.Handover{Used: true}, rev); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, bus.ErrConflict):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 15 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
}

func TestBucketRefuses(t *testing.T) {
	ctx := t.Context()
	b := control(t, bus.Config{})
	k := bus.NewBucket[string](b, bus.Routes)
	_, err := k.Put(ctx, "a.b", strings.Repeat("x", 40<<10))
	wantCode(t, err, fault.TooLarge)
	for _, key := range []string{"", ".a", "a.", "a..b", "a b", "*", "a.>", "a\r\nb"} {
		if _, err := k.Put(ctx, key, "x"); err == nil {
			t.Errorf("put of key %q went through", key)
		}
		if err := k.Delete(ctx, key); err == nil {
			t.Errorf("delete of key %q went through", key)
		}
	}
	_, err = bus.NewBucket[string](b, "nowhere").Put(ctx, "a", "x")
	wantCode(t, err, fault.Unavailable)
}

func TestEnsureBucketsKeepsWhatIsThere(t *testing.T) {
	b := control(t, bus.Config{})
	k := bus.NewBucket[string](b, bus.Routes)
	if _, err := k.Put(t.Context(), "a.b", "x"); err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, _, err := k.Get(t.Context(), "a.b"); v != "x" || err != nil {
		t.Errorf("after the second EnsureBuckets: %q %v", v, err)
	}
}
