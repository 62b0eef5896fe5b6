package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// world is a control and the relays r1 and r2 that dialled it.
func world(t *testing.T) (srv, r1, r2 *bus.Bus) {
	t.Helper()
	l1, l2 := login(t, "r1"), login(t, "r2")
	srv = control(t, bus.Config{Listen: "127.0.0.1:0", Logins: []bus.Login{l1, l2}})
	return srv, dial(t, srv.Addr(), l1), dial(t, srv.Addr(), l2)
}

func handover(used bool) bus.Handover {
	v := token.Visit{
		ID: id.NewVisit(), Site: id.NewSite(), Device: id.NewDevice(), Account: id.NewAccount(), User: id.NewUser(),
		Method: token.MethodAccount,
	}
	return bus.Handover{Visit: v, Used: used}
}

func TestRelayLoginDoesItsWork(t *testing.T) {
	ctx := t.Context()
	srv, r1, r2 := world(t)
	seen := watch(t, srv, bus.Routes)
	other := watch(t, r2, bus.Routes)
	keys := watch(t, r1, bus.Keys)
	revoked := watch(t, r1, bus.Revocations)
	leases := watch(t, r2, bus.Relays)

	put(t, bus.NewBucket[string](r1, bus.Routes), "r1.dev", "up")
	put(t, bus.NewBucket[string](r1, bus.Relays), "r1", "lease")
	put(t, bus.NewBucket[string](srv, bus.Keys), "pass.k", "key")
	put(t, bus.NewBucket[string](srv, bus.Revocations), "visit.v", "revoked")
	eventually(t, "the route, at control and at the other relay", func() bool {
		return seen.is(map[string]string{"r1.dev": "up"}) && other.is(map[string]string{"r1.dev": "up"})
	})
	eventually(t, "lease, keys and revocations", func() bool {
		return leases.is(map[string]string{"r1": "lease"}) && keys.is(map[string]string{"pass.k": "key"}) && revoked.is(map[string]string{"visit.v": "revoked"})
	})
	if err := bus.NewBucket[string](r1, bus.Routes).Delete(ctx, "r1.dev"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the route is gone", func() bool { return seen.is(nil) && other.is(nil) })

	if _, err := bus.NewBucket[bus.Handover](srv, bus.Handovers).Create(ctx, "h", handover(false)); err != nil {
		t.Fatal(err)
	}
	for i, relay := range []*bus.Bus{r1, r2} {
		k := bus.NewBucket[bus.Handover](relay, bus.Handovers)
		h, rev, err := k.Get(ctx, "h")
		if err != nil || h.Used != (i == 1) {
			t.Fatalf("relay %d reads the handover: used %v, %v", i+1, h.Used, err)
		}
		if _, err := k.Update(ctx, "h", handover(true), rev-uint64(i)); (err == nil) != (i == 0) || i == 1 && !errors.Is(err, bus.ErrConflict) {
			t.Fatalf("relay %d redeems: %v", i+1, err)
		}
	}
}

// Each case is something that relay r1 must not be able to do. What must not
// change is compared after it, in control's own eyes.
func TestRelayLoginIsConfined(t *testing.T) {
	srv, r1, _ := world(t)
	nc := r1.ConnForTest()
	route := bus.NewBucket[string](srv, bus.Routes)
	key := bus.NewBucket[string](srv, bus.Keys)
	lease := bus.NewBucket[string](srv, bus.Relays)
	revocation := bus.NewBucket[string](srv, bus.Revocations)
	put(t, route, "r2.dev", "good")
	put(t, key, "pass.k", "good")
	put(t, lease, "r2", "good")
	put(t, revocation, "visit.v", "good")
	put(t, bus.NewBucket[string](r1, bus.Routes), "r1.dev", "evil")

	send := func(subject, answerTo, body string, header nats.Header) {
		t.Helper()
		if err := nc.PublishMsg(&nats.Msg{Subject: subject, Reply: answerTo, Data: []byte(body), Header: header}); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s went through", what)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := bus.NewBucket[string](r1, bus.Routes).Put(ctx, "r2.dev", "evil")
	refused("another relay's route", err)
	refused("deleting another relay's route", bus.NewBucket[string](r1, bus.Routes).Delete(ctx, "r2.dev"))
	_, err = bus.NewBucket[string](r1, bus.Keys).Put(ctx, "pass.k", "evil")
	refused("a key", err)
	_, err = bus.NewBucket[string](r1, bus.Revocations).Put(ctx, "visit.v", "evil")
	refused("a revocation", err)
	_, err = bus.NewBucket[string](r1, bus.Relays).Put(ctx, "r2", "evil")
	refused("another relay's lease", err)
	refused("the buckets' settings", r1.EnsureBuckets(ctx))
	refused("deleting a bucket", r1.DropBucketForTest(ctx, bus.Keys))

	// Announcing what was never stored.
	send("trunkline.kv.keys.pass.k", "", `"evil"`, nats.Header{"Nats-Sequence": {"99"}})
	// Letting the server write: the answer to a request, sent to where a key is.
	for _, to := range []string{"$KV.keys.pass.k", "$KV.routes.r2.dev", "$KV.relays.r2", "$KV.revocations.visit.v", "trunkline.kv.keys.pass.k"} {
		send("$JS.API.DIRECT.GET.KV_routes.$KV.routes.r1.dev", to, "", nil)
		send("$JS.API.DIRECT.GET.KV_routes", to, `{"seq":1,"batch":10}`, nil)
		send("$JS.API.STREAM.INFO.KV_routes", to, "", nil)
		send("$KV.routes.r1.dev", to, `"evil"`, nil)
		send("$JS.API.CONSUMER.CREATE.KV_routes", "", `{"stream_name":"KV_routes","config":{"deliver_policy":"all","ack_policy":"none","deliver_subject":"`+to+`"}}`, nil)
		send("$KV.routes.r1.dev", "", `"evil"`, nats.Header{"Nats-Trace-Dest": {to}})
	}
	// One header that would empty the bucket.
	send("$KV.routes.r1.dev", "", `"evil"`, nats.Header{"Nats-Rollup": {"all"}})
	send("$KV.relays.r1", "", `"evil"`, nats.Header{"Nats-Rollup": {"all"}})
	// A listing of handovers, and of what other relays are asked and told.
	overheard := make(chan *nats.Msg, 16)
	for _, subject := range []string{"$KV.>", "$JS.>", "trunkline.rpc.>", "trunkline.kv.handovers.>", "handovers-of-all"} {
		if _, err := nc.ChanSubscribe(subject, overheard); err != nil {
			t.Fatal(err)
		}
	}
	send("$JS.API.DIRECT.GET.KV_handovers", "handovers-of-all", `{"seq":1,"batch":10}`, nil)
	put(t, bus.NewBucket[string](srv, bus.Handovers), "h", "secret")

	// All of the above was in front of this on the same connection.
	if err := nc.FlushTimeout(testTimeout); err != nil {
		t.Fatal(err)
	}
	put(t, bus.NewBucket[string](r1, bus.Routes), "r1.dev", "last")
	for what, v := range map[string]*view{"control": watch(t, srv, bus.Routes), "relay": watch(t, r1, bus.Routes)} {
		eventually(t, "routes as "+what+" sees them", func() bool { return v.is(map[string]string{"r2.dev": "good", "r1.dev": "last"}) })
	}
	for name, k := range map[string]*bus.Bucket[string]{"pass.k": key, "r2": lease, "visit.v": revocation} {
		if v, _, err := k.Get(t.Context(), name); v != "good" || err != nil {
			t.Errorf("%s is now %q, %v", name, v, err)
		}
	}
	if len(overheard) > 0 {
		t.Errorf("overheard %s", (<-overheard).Subject)
	}
}

// Handovers were announced once, to every relay. Control's next look ends that, in a
// bucket that is there already.
func TestHandoversAreNoLongerAnnounced(t *testing.T) {
	srv, r1, _ := world(t)
	if err := srv.AnnounceForTest(t.Context(), bus.Handovers); err != nil {
		t.Fatal(err)
	}
	nc, heard := r1.ConnForTest(), make(chan *nats.Msg, 16)
	if _, err := nc.ChanSubscribe("trunkline.kv.handovers.>", heard); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(testTimeout); err != nil {
		t.Fatal(err)
	}
	handovers := bus.NewBucket[string](srv, bus.Handovers)
	put(t, handovers, "before", "secret")
	eventually(t, "the announcement that was", func() bool { return len(heard) == 1 })
	<-heard
	if err := srv.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, handovers, "after", "secret")
	if err := nc.FlushTimeout(testTimeout); err != nil { // an announcement goes before the answer to put
		t.Fatal(err)
	}
	if len(heard) > 0 {
		t.Errorf("overheard %s", (<-heard).Subject)
	}
	for _, key := range []string{"before", "after"} {
		if v, _, err := bus.NewBucket[string](r1, bus.Handovers).Get(t.Context(), key); v != "secret" || err != nil {
			t.Errorf("who knows its key gets of %s %q, %v", key, v, err)
		}
	}
}

// A relay asks in its own name and in no other's, and control is told whose it is.
func TestRelayCallsInItsOwnName(t *testing.T) {
	srv, r1, r2 := world(t)
	stop, err := bus.HandleAs(srv, "who", func(_ context.Context, r id.Relay, q question) (answer, error) {
		return answer{Text: string(r) + " asks " + q.Name}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for r, b := range map[id.Relay]*bus.Bus{"r1": r1, "r2": r2} {
		a, err := bus.CallAs[question, answer](t.Context(), b, r, "who", question{Name: "this"})
		if err != nil || a.Text != string(r)+" asks this" {
			t.Errorf("%s: %q, %v", r, a.Text, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := bus.CallAs[question, answer](t.Context(), r1, "r1", "what", question{Name: "this"}); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("what nobody serves, across accounts: %v", err)
	}
	if a, err := bus.CallAs[question, answer](ctx, r1, "r2", "who", question{Name: "this"}); err == nil {
		t.Errorf("r1 is taken for another: %q", a.Text)
	}
}

func TestWrongPasswordStaysOutside(t *testing.T) {
	l := login(t, "r1")
	srv := control(t, bus.Config{Listen: "127.0.0.1:0", Logins: []bus.Login{l}})
	wrong := open(t, bus.Config{URL: "nats://" + srv.Addr(), User: l.User, PasswordFile: secretFile(t, "guess")})
	nobody := open(t, bus.Config{URL: "nats://" + srv.Addr()})
	// Open waits for the answer to the first try.
	if wrong.Connected() || nobody.Connected() {
		t.Errorf("connected with a wrong password: %v, with none: %v", wrong.Connected(), nobody.Connected())
	}
}
