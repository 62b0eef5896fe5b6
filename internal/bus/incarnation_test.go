package bus_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"trunkline/internal/bus"
)

// A bucket may come back without its records and with all else as it was, as a
// cluster's does that was down as a whole: watchers are told by a new epoch, and
// of the record that says so they see nothing.
func TestANewIncarnationIsANewEpoch(t *testing.T) {
	b := control(t, bus.Config{})
	put(t, bus.NewBucket[string](b, bus.Routes), "r.dev", "up")
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var epochs, keys []string
	done := make(chan error, 1)
	go func() {
		done <- bus.NewBucket[string](b, bus.Routes).Watch(ctx, func(e bus.Event[string]) {
			mu.Lock()
			defer mu.Unlock()
			switch e.Kind {
			case bus.Synced:
				epochs = append(epochs, e.Epoch)
			case bus.Put:
				keys = append(keys, e.Key)
			}
		})
	}()
	synced := func() int { mu.Lock(); defer mu.Unlock(); return len(epochs) }
	eventually(t, "the first snapshot", func() bool { return synced() == 1 })
	if err := b.ConnForTest().Publish("$KV.routes.incarnation", []byte("another")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second one", func() bool { return synced() == 2 })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if epochs[0] == epochs[1] {
		t.Errorf("both have the epoch %s", epochs[0])
	}
	if len(keys) != 2 || keys[0] != "r.dev" || keys[1] != "r.dev" {
		t.Errorf("the watcher was told of %q", keys)
	}
}

// Whoever makes the buckets again leaves their incarnation as it is.
func TestEnsureBucketsKeepsTheIncarnation(t *testing.T) {
	b := control(t, bus.Config{})
	epoch := func() (out string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if err := bus.NewBucket[string](b, bus.Keys).Watch(ctx, func(e bus.Event[string]) { out = e.Epoch; cancel() }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := epoch()
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := epoch(); again != first {
		t.Errorf("epoch %s, then %s", first, again)
	}
}

// Where revocations are lost the keys are taken from the bus, so that control puts
// both again, the keys last.
func TestKeysAreNewWhereRevocationsAre(t *testing.T) {
	b := control(t, bus.Config{})
	keys := bus.NewBucket[string](b, bus.Keys)
	put(t, keys, "pass.k", "key")
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, _, err := keys.Get(t.Context(), "pass.k"); err != nil || s != "key" {
		t.Fatalf("with all revocations there the key is %q, %v", s, err)
	}
	if err := b.DropBucketForTest(t.Context(), bus.Revocations); err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, _, err := keys.Get(t.Context(), "pass.k"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("the key is %q, %v", s, err)
	}
}
