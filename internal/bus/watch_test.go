package bus_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
)

func put(t *testing.T, k *bus.Bucket[string], key, v string) {
	t.Helper()
	if _, err := k.Put(t.Context(), key, v); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func TestWatchTellsSnapshotThenChanges(t *testing.T) {
	b := control(t, bus.Config{})
	k := bus.NewBucket[string](b, bus.Routes)
	put(t, k, "r.a", "1")
	put(t, k, "r.b", "1")
	put(t, k, "r.gone", "1")
	if err := k.Delete(t.Context(), "r.gone"); err != nil {
		t.Fatal(err)
	}

	v := watch(t, b, bus.Routes)
	eventually(t, "snapshot", func() bool { return v.is(map[string]string{"r.a": "1", "r.b": "1"}) })
	put(t, k, "r.a", "2")
	put(t, k, "r.c", "1")
	if err := k.Delete(t.Context(), "r.b"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "changes", func() bool { return v.is(map[string]string{"r.a": "2", "r.c": "1"}) })
	if n := len(v.resets()); n != 1 {
		t.Errorf("%d resets, want 1", n)
	}
}

func TestWatchOfAnEmptyBucketSyncs(t *testing.T) {
	v := watch(t, control(t, bus.Config{}), bus.Routes)
	eventually(t, "synced", func() bool { return v.is(nil) })
}

func TestWatchWaitsForTheBucket(t *testing.T) {
	b := open(t, bus.Config{})
	v := watch(t, b, bus.Keys)
	time.Sleep(50 * time.Millisecond) // let it find nothing; passes without, too
	if len(v.resets()) > 0 {
		t.Fatal("told of a bucket that is not there")
	}
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, bus.NewBucket[string](b, bus.Keys), "pass.a", "1")
	eventually(t, "the bucket's record", func() bool { return v.is(map[string]string{"pass.a": "1"}) })
}

// More than a page of snapshot, and writes while it is read.
func TestWatchOfALargeBucketUnderWrites(t *testing.T) {
	b := control(t, bus.Config{})
	k := bus.NewBucket[string](b, bus.Routes)
	want := map[string]string{}
	for i := range 3500 {
		key := fmt.Sprintf("r.%d", i)
		want[key] = "1"
		put(t, k, key, "1")
	}
	v := watch(t, b, bus.Routes)
	for i := range 1500 {
		key := fmt.Sprintf("r.%d", i*2)
		if i%3 == 0 {
			delete(want, key)
			if err := k.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want[key] = "2"
		put(t, k, key, "2")
	}
	eventually(t, "all records", func() bool { return v.is(want) })
}

// A page that takes too long is asked for again from where it was, and nothing comes
// twice or is left out.
func TestWatchGoesOnWhereAPageTookTooLong(t *testing.T) {
	b := control(t, bus.Config{})
	k := bus.NewBucket[string](b, bus.Routes)
	const records = 2500
	for i := range records {
		put(t, k, fmt.Sprintf("r.%d", i), "1")
	}
	const page = 1500 * time.Millisecond
	b.SetPageTimeForTest(page)
	ctx, stop := context.WithTimeout(t.Context(), testTimeout)
	defer stop()
	resets, seen := 0, make(map[string]int)
	err := k.Watch(ctx, func(e bus.Event[string]) {
		switch e.Kind {
		case bus.Reset:
			resets++
		case bus.Put:
			if seen[e.Key]++; len(seen) == 300 && resets == 1 {
				time.Sleep(2 * page)
			}
		case bus.Synced:
			stop()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if resets != 1 || len(seen) != records {
		t.Errorf("%d records of %d, read from the beginning %d times", len(seen), records, resets)
	}
	for key, n := range seen {
		if n != 1 {
			t.Fatalf("%s came %d times", key, n)
		}
	}
}

// A snapshot that the connection is lost under goes on where it was, with what has
// become of what was told.
func TestWatchGoesOnOverAnotherConnection(t *testing.T) {
	l := login(t, "r1")
	srv := control(t, bus.Config{Listen: "127.0.0.1:0", Logins: []bus.Login{l}})
	k := bus.NewBucket[string](srv, bus.Routes)
	const records = 3500
	want := make(map[string]string, records)
	for i := range records {
		key := fmt.Sprintf("r.%d", i)
		want[key] = "1"
		put(t, k, key, "1")
	}
	wire := newProxy(t, srv.Addr())
	relay := dial(t, wire.addr(), l)
	ctx, stop := context.WithTimeout(t.Context(), testTimeout)
	defer stop()
	resets, told, got := 0, 0, make(map[string]string)
	err := bus.NewBucket[string](relay, bus.Routes).Watch(ctx, func(e bus.Event[string]) {
		switch e.Kind {
		case bus.Reset:
			resets++
		case bus.Delete:
			delete(got, e.Key)
		case bus.Put:
			got[e.Key] = e.Value
			if told++; told%1000 == 0 {
				put(t, k, fmt.Sprintf("r.%d", told-10), "2")
				want[fmt.Sprintf("r.%d", told-10)] = "2"
				for _, gone := range []int{told - 20, told + 200} { // one that was told, and one that was not
					delete(want, fmt.Sprintf("r.%d", gone))
					if err := k.Delete(ctx, fmt.Sprintf("r.%d", gone)); err != nil {
						t.Error(err)
					}
				}
				wire.cut()
			}
		case bus.Synced:
			stop()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if resets != 1 || !maps.Equal(got, want) {
		t.Errorf("%d records of %d, or other ones, read from the beginning %d times", len(got), len(want), resets)
	}
	if told > records+100 {
		t.Errorf("%d records were told of %d", told, records)
	}
}

// The server is killed and comes back empty on the same port: the watcher is
// told of a new epoch, and then of what is put into the new bucket.
func TestWatchSurvivesAServerThatComesBackEmpty(t *testing.T) {
	l := login(t, "r1")
	srv := control(t, bus.Config{Listen: "127.0.0.1:0", Logins: []bus.Login{l}})
	addr := srv.Addr()
	relay := dial(t, addr, l)
	v := watch(t, relay, bus.Routes)
	own := bus.NewBucket[string](relay, bus.Routes)
	put(t, own, "r1.a", "old")
	eventually(t, "first record", func() bool { return v.is(map[string]string{"r1.a": "old"}) })

	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "loss noticed", func() bool { return !relay.Connected() })
	if !v.is(map[string]string{"r1.a": "old"}) {
		t.Error("what was known is forgotten while the server is away")
	}

	srv = open(t, bus.Config{Listen: addr, Logins: []bus.Login{l}})
	eventually(t, "connected again", relay.Connected)
	if len(v.resets()) != 1 {
		t.Error("reset before the bucket exists again")
	}
	start := time.Now()
	_, err := own.Put(t.Context(), "r1.a", "lost")
	wantCode(t, err, fault.Unavailable)
	_, err = bus.Call[int, int](t.Context(), relay, "nobody", 1)
	wantCode(t, err, fault.Unavailable)
	if d := time.Since(start); d > 8*time.Second { // calls have 10 s
		t.Errorf("took %v to say that there is no bucket and no handler", d)
	}
	if err := srv.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "reset", func() bool { return v.syncs() == 2 && v.is(nil) })
	put(t, own, "r1.b", "new")
	eventually(t, "new record", func() bool { return v.is(map[string]string{"r1.b": "new"}) })
	if e := v.resets(); len(e) != 2 || e[0] == e[1] {
		t.Errorf("epochs %v, want two different ones", e)
	}
}

// The connection alone is lost: the epoch stays, and what changed meanwhile is told.
func TestWatchSurvivesALostConnection(t *testing.T) {
	l := login(t, "r1")
	srv := control(t, bus.Config{Listen: "127.0.0.1:0", Logins: []bus.Login{l}})
	k := bus.NewBucket[string](srv, bus.Keys)
	put(t, k, "pass.a", "1")
	put(t, k, "pass.b", "1")
	wire := newProxy(t, srv.Addr())
	v := watch(t, dial(t, wire.addr(), l), bus.Keys)
	eventually(t, "snapshot", func() bool { return v.is(map[string]string{"pass.a": "1", "pass.b": "1"}) })

	for range 3 {
		n := v.syncs()
		wire.cut()
		put(t, k, "pass.a", fmt.Sprint("later ", n))
		eventually(t, "resubscribed", func() bool { return v.syncs() > n })
		eventually(t, "what was missed", func() bool { return v.is(map[string]string{"pass.a": fmt.Sprint("later ", n), "pass.b": "1"}) })
	}
	for _, e := range v.resets() {
		if e != v.resets()[0] {
			t.Errorf("epochs %v of one bucket", v.resets())
		}
	}
}

// Somebody deletes the bucket while everybody stays connected.
func TestWatchNoticesARecreatedBucket(t *testing.T) {
	ctx := t.Context()
	b := control(t, bus.Config{})
	k := bus.NewBucket[string](b, bus.Routes)
	put(t, k, "r.a", "1")
	v := watch(t, b, bus.Routes)
	eventually(t, "snapshot", func() bool { return v.is(map[string]string{"r.a": "1"}) })
	if err := b.DropBucketForTest(ctx, bus.Routes); err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureBuckets(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 5 { // past the old number, where it is not told by the count
		put(t, k, fmt.Sprintf("r.b%d", i), "1")
	}
	want := map[string]string{"r.b0": "1", "r.b1": "1", "r.b2": "1", "r.b3": "1", "r.b4": "1"}
	eventually(t, "the new bucket", func() bool { return len(v.resets()) > 1 && v.is(want) })
	if e := v.resets(); e[0] == e[len(e)-1] {
		t.Errorf("epochs %v, want a new one", e)
	}
}

// Announcements are lost without the connection being lost.
func TestWatchFindsWhatWasNotAnnounced(t *testing.T) {
	ctx := t.Context()
	b := control(t, bus.Config{})
	k := bus.NewBucket[string](b, bus.Routes)
	v := watch(t, b, bus.Routes)
	eventually(t, "synced", func() bool { return v.is(nil) })
	if err := b.MuteForTest(ctx, bus.Routes); err != nil {
		t.Fatal(err)
	}
	put(t, k, "r.a", "1")
	put(t, k, "r.b", "1")
	eventually(t, "found by the check", func() bool { return v.is(map[string]string{"r.a": "1", "r.b": "1"}) })
	put(t, k, "r.c", "1")
	if err := k.Delete(ctx, "r.a"); err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureBuckets(ctx); err != nil { // announces again
		t.Fatal(err)
	}
	put(t, k, "r.d", "1")
	eventually(t, "the gap is filled", func() bool { return v.is(map[string]string{"r.b": "1", "r.c": "1", "r.d": "1"}) })
	if n := len(v.resets()); n != 1 {
		t.Errorf("%d resets, want 1: nothing was lost but announcements", n)
	}
}

// A callback that blocks overflows the queue; what was dropped is read from
// the bucket when it goes on.
func TestWatchWithASlowReceiver(t *testing.T) {
	b := control(t, bus.Config{})
	k := bus.NewBucket[string](b, bus.Routes)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release, synced, have := make(chan struct{}), make(chan struct{}), map[string]string{}
	resets := 0
	done := make(chan error, 1)
	go func() {
		done <- bus.NewBucket[string](b, bus.Routes).Watch(ctx, func(e bus.Event[string]) {
			switch e.Kind {
			case bus.Reset:
				resets++
			case bus.Synced:
				close(synced)
				<-release
			case bus.Put:
				have[e.Key] = e.Value
				if e.Key == "r.last" {
					cancel()
				}
			}
		})
	}()
	<-synced
	for i := range 10_000 {
		if err := b.ConnForTest().Publish(fmt.Sprintf("$KV.routes.r.%d", i), []byte(`"1"`)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, k, "r.last", "1")
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(have) != 10_001 || resets != 1 {
		t.Errorf("%d records, %d resets", len(have), resets)
	}
}

func TestWatchTellsThatALeaseExpired(t *testing.T) {
	b := open(t, bus.Config{})
	b.SetTimesForTest(500*time.Millisecond, 50*time.Millisecond)
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := bus.NewBucket[string](b, bus.Relays)
	v := watch(t, b, bus.Relays)
	put(t, k, "dead", "1")
	put(t, k, "alive", "1")
	eventually(t, "both leases", func() bool { return v.is(map[string]string{"dead": "1", "alive": "1"}) })
	eventually(t, "one lease ended", func() bool {
		put(t, k, "alive", "1")
		return v.is(map[string]string{"alive": "1"})
	})
	if n := len(v.resets()); n != 1 {
		t.Errorf("%d resets, want 1", n)
	}
}

func TestWatchSkipsWhatDoesNotDecode(t *testing.T) {
	b := control(t, bus.Config{})
	put(t, bus.NewBucket[string](b, bus.Routes), "r.a", "text")
	if _, err := bus.NewBucket[int](b, bus.Routes).Put(t.Context(), "r.b", 7); err != nil {
		t.Fatal(err)
	}
	for key, data := range map[string]string{"r.c": "{", "r.e": "null", "r.f": ""} {
		if err := b.ConnForTest().Publish("$KV.routes."+key, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, bus.NewBucket[string](b, bus.Routes), "r.d", "text")
	v := watch(t, b, bus.Routes)
	eventually(t, "the good ones", func() bool { return v.is(map[string]string{"r.a": "text", "r.d": "text"}) })
}

func TestWatchEndsWithTheBus(t *testing.T) {
	b := control(t, bus.Config{})
	done := make(chan error, 1)
	go func() {
		done <- bus.NewBucket[string](b, bus.Routes).Watch(context.Background(), func(bus.Event[string]) {})
	}()
	b.Close()
	if err := <-done; err != bus.ErrClosed {
		t.Errorf("watch returned %v", err)
	}
}
