package trust_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sync/errgroup"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/relay/trust"
)

// A relay that starts while revocations are lost lets nobody in by the keys of before:
// what was revoked would be good there. Control puts revocations, and keys after them,
// when it finds no keys.
func TestARelayStartsWhileRevocationsAreLost(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	b, err := bus.Open(t.Context(), bus.Config{URL: srv.ClientURL()}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	w := &world{t: t, bus: b}
	w.eventually("buckets", func() bool { return b.EnsureBuckets(t.Context()) == nil })
	keys := func() {
		now := time.Now().Add(-time.Second)
		w.pass, w.seal = token.NewSigningKey(now), token.NewSealKey(now)
		put(t, b, bus.Keys, "pass."+w.pass.ID, w.pass.Verifier())
		put(t, b, bus.Keys, "visit."+w.seal.ID, w.seal)
	}
	keys()
	before := w.newVisit()
	cookie := w.sealed(before)

	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "KV_revocations"); err != nil {
		t.Fatal(err)
	}
	began := trust.New(trust.Options{
		Bus: b, Relay: "relay-1", Log: zaptest.NewLogger(t), Registerer: prometheus.NewRegistry(),
		Report: func(bus.VisitEvent) {}, DeviceRevoked: func(id.Device, time.Time, *fault.Error) {},
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return began.Run(ctx) })
	defer func() {
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}()
	// Who asks for the keys now gets them.
	heard, enough := context.WithCancel(t.Context())
	if err := bus.NewBucket[json.RawMessage](b, bus.Keys).Watch(heard, func(e bus.Event[json.RawMessage]) {
		if e.Kind == bus.Synced {
			enough()
		}
	}); err != nil {
		t.Fatal(err)
	}

	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys() // control's, and revocations would come before
	w.eventually("ready", func() bool { return began.Ready() == nil })
	if _, err := began.AdmitVisit(cookie, before.Site, trust.Person, 0); err == nil {
		t.Error("it lets a visit of before in, which may be one that was ended")
	}
	after := w.newVisit()
	if _, err := began.AdmitVisit(w.sealed(after), after.Site, trust.Person, 0); err != nil {
		t.Errorf("a new visit: %v", err)
	}
}
