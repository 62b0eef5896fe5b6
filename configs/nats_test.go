package configs_test

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline/internal/bus"
	"trunkline/internal/id"
)

const patience = 30 * time.Second

// external is nats-server.conf in force, with relays made as its comment says: by
// copying.
type external struct {
	url, ca string
	roots   *tls.Config
	conf    string // the server's file
	server  *server.Server
}

func startExternal(t *testing.T, edit func(conf string) string, relays ...string) external {
	t.Helper()
	b, err := os.ReadFile("nats-server.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := withRelays(edit(string(b)), relays...)
	text = replace(t, "nats-server.conf", text, "0.0.0.0:4222", "127.0.0.1:-1", "/etc/trunkline/nats", dir, "/var/lib/nats", filepath.Join(dir, "store"))
	conf := filepath.Join(dir, "nats-server.conf")
	write(t, conf, text)
	roots := certificate(t, dir)
	for _, who := range append([]string{"control"}, relays...) {
		t.Setenv("TRUNKLINE_"+envName(who)+"_PASSWORD", password(envName(who)))
	}
	srv := startNATS(t, conf)
	return external{url: "tls://" + srv.Addr().String(), ca: filepath.Join(dir, "server.crt"), roots: &tls.Config{RootCAs: roots}, conf: conf, server: srv}
}

// withRelays has an account for each of the relays instead of relay-1's alone.
func withRelays(conf string, relays ...string) string {
	from, to := strings.Index(conf, "  relay-1 {\n"), strings.LastIndex(conf, "}")
	var accounts strings.Builder
	for _, r := range relays {
		accounts.WriteString(strings.NewReplacer("relay-1", r, "RELAY_1", envName(r)).Replace(conf[from:to]))
	}
	return conf[:from] + accounts.String() + conf[to:]
}

func envName(user string) string { return strings.ToUpper(strings.ReplaceAll(user, "-", "_")) }

// startNATS runs a server until the test ends; those of a cluster may come in
// any order.
func startNATS(t *testing.T, conf string) *server.Server {
	t.Helper()
	o, err := server.ProcessConfigFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	srv, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(patience) {
		t.Fatal("nats-server did not start")
	}
	return srv
}

func asItIs(conf string) string { return conf }

func password(who string) string { return "x-secret-of-" + who }

// open is what a daemon does with bus.url, bus.user and bus.password_file.
func (e external) open(t *testing.T, user, who string) *bus.Bus {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, password(who))
	b, err := bus.Open(t.Context(), bus.Config{URL: e.url, CAFile: e.ca, User: user, PasswordFile: file},
		zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	eventually(t, user+" connected", b.Connected)
	return b
}

// raw is whoever stole a relay's password.
func (e external) raw(t *testing.T, user, who string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(e.url, nats.UserInfo(user, password(who)), nats.Secure(e.roots), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestExternalNATSServesThePlanes(t *testing.T) {
	ctx := t.Context()
	e := startExternal(t, asItIs, "relay-1", "relay-2")
	control, r1, r2 := e.open(t, "control", "CONTROL"), e.open(t, "relay-1", "RELAY_1"), e.open(t, "relay-2", "RELAY_2")
	if err := control.EnsureBuckets(ctx); err != nil {
		t.Fatal(err)
	}
	var seen sync.Map // key -> value, as relay-2 is told
	for _, bucket := range []string{bus.Routes, bus.Relays, bus.Keys, bus.Revocations} {
		watch(t, r2, bucket, func(ev bus.Event[string]) {
			if ev.Kind == bus.Put {
				seen.Store(bucket+"/"+ev.Key, ev.Value)
			}
		})
	}
	put(t, r1, bus.Routes, "relay-1.dev", "up")
	put(t, r1, bus.Relays, "relay-1", "lease")
	put(t, control, bus.Keys, "pass.k", "key")
	put(t, control, bus.Revocations, "visit.v", "revoked")
	for key, value := range map[string]string{"routes/relay-1.dev": "up", "relays/relay-1": "lease", "keys/pass.k": "key", "revocations/visit.v": "revoked"} {
		eventually(t, key+" at relay-2", func() bool { v, _ := seen.Load(key); return v == value })
	}

	put(t, control, bus.Handovers, "hash", "fresh")
	handovers := bus.NewBucket[string](r1, bus.Handovers)
	_, rev, err := handovers.Get(ctx, "hash")
	if err == nil {
		_, err = handovers.Update(ctx, "hash", "used", rev)
	}
	if err != nil {
		t.Fatalf("redeem: %v", err)
	}
	if _, err := bus.NewBucket[string](r2, bus.Handovers).Update(ctx, "hash", "used", rev); err == nil {
		t.Error("a handover was redeemed twice")
	}

	stop, err := bus.Handle(control, bus.SubjectVisitEvent, func(_ context.Context, q string) (string, error) { return "heard " + q, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	var answer string
	eventually(t, "an answer from control", func() bool {
		answer, err = bus.Call[string, string](ctx, r1, bus.SubjectVisitEvent, "this")
		return err == nil
	})
	if answer != "heard this" {
		t.Errorf("control answered %q", answer)
	}

	stopAs, err := bus.HandleAs(control, bus.SubjectPeerCertificate, func(_ context.Context, r id.Relay, _ string) (string, error) { return string(r), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer stopAs()
	if who, err := bus.CallAs[string, string](ctx, r1, "relay-1", bus.SubjectPeerCertificate, "this"); who != "relay-1" || err != nil {
		t.Errorf("relay-1 asks in its own name, and is %q: %v", who, err)
	}
	as, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if who, err := bus.CallAs[string, string](as, r1, "relay-2", bus.SubjectPeerCertificate, "this"); err == nil {
		t.Errorf("relay-1 asks in another's name, and is %q", who)
	}
}

func TestExternalNATSConfinesRelays(t *testing.T) {
	t.Run("by accounts and permissions", func(t *testing.T) { confines(t, startExternal(t, asItIs, "relay-1", "relay-2")) })
	t.Run("by accounts alone", func(t *testing.T) {
		confines(t, startExternal(t, func(conf string) string {
			return regexp.MustCompile(`(?s)permissions: \{.*?\n      \}`).ReplaceAllString(conf, "")
		}, "relay-1", "relay-2"))
	})
}

// confines does on a bare connection what relay-1 must not be able to do, and
// then looks at the buckets with control's own eyes.
func confines(t *testing.T, e external) {
	control := e.open(t, "control", "CONTROL")
	if err := control.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, control, bus.Routes, "relay-2.dev", "good")
	put(t, control, bus.Relays, "relay-2", "good")
	put(t, control, bus.Keys, "pass.k", "good")
	put(t, control, bus.Revocations, "visit.v", "good")

	thief := e.raw(t, "relay-1", "RELAY_1")
	overheard := make(chan *nats.Msg, 16)
	for _, subject := range []string{"$KV.handovers.>", "$JS.EVENT.>", "trunkline.rpc.>", "trunkline.kv.handovers.>", "listing"} {
		if _, err := thief.ChanSubscribe(subject, overheard); err != nil {
			t.Fatal(err)
		}
	}
	send := func(subject, answerTo, body string, header nats.Header) {
		t.Helper()
		if err := thief.PublishMsg(&nats.Msg{Subject: subject, Reply: answerTo, Data: []byte(body), Header: header}); err != nil {
			t.Fatal(err)
		}
	}
	send("$KV.routes.relay-1.dev", "", `"evil"`, nil)
	targets := []string{"$KV.routes.relay-2.dev", "$KV.relays.relay-2", "$KV.keys.pass.k", "$KV.revocations.visit.v"}
	for _, to := range targets {
		send(to, "", `"evil"`, nil)
		send(to, "", "", nats.Header{"KV-Operation": {"DEL"}})
		// Letting the server write: the answer to a request, sent to there.
		send("$JS.API.DIRECT.GET.KV_routes.$KV.routes.relay-1.dev", to, "", nil)
		send("$JS.API.DIRECT.GET.KV_routes", to, `{"seq":1,"batch":10}`, nil)
		send("$JS.API.STREAM.INFO.KV_routes", to, "", nil)
		send("$JS.API.CONSUMER.CREATE.KV_routes", "", `{"stream_name":"KV_routes","config":{"deliver_policy":"all","ack_policy":"none","deliver_subject":"`+to+`"}}`, nil)
		send("$KV.routes.relay-1.dev", "", `"evil"`, nats.Header{"Nats-Trace-Dest": {to}})
	}
	send("$KV.routes.relay-1.dev", "", `"evil"`, nats.Header{"Nats-Rollup": {"all"}})
	send("$JS.API.STREAM.DELETE.KV_keys", "", "", nil)
	send("$JS.API.STREAM.PURGE.KV_keys", "", "", nil)
	send("$JS.API.DIRECT.GET.KV_handovers", "listing", `{"seq":1,"batch":10}`, nil)
	put(t, control, bus.Handovers, "hash", "secret")
	if err := thief.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	eventually(t, "relay-1's own route", func() bool {
		v, _, err := bus.NewBucket[string](control, bus.Routes).Get(t.Context(), "relay-1.dev")
		return v == "evil" && err == nil
	})

	for bucket, key := range map[string]string{bus.Routes: "relay-2.dev", bus.Relays: "relay-2", bus.Keys: "pass.k", bus.Revocations: "visit.v"} {
		if v, _, err := bus.NewBucket[string](control, bucket).Get(t.Context(), key); v != "good" || err != nil {
			t.Errorf("%s/%s is now %q, %v", bucket, key, v, err)
		}
	}
	for range len(overheard) {
		if m := <-overheard; m.Header.Get("Status") != "503" { // which is the server's "there is nobody to ask"
			t.Errorf("overheard %s: %v %s", m.Subject, m.Header, m.Data)
		}
	}
	if nc, err := nats.Connect(e.url, nats.Secure(e.roots)); err == nil {
		nc.Close()
		t.Error("somebody without a password is in")
	}
}

// A relay that is configured as another is told so, at once.
func TestExternalNATSNamesTheMistake(t *testing.T) {
	e := startExternal(t, asItIs, "relay-1", "relay-2")
	told := make(chan error, 1)
	nc, err := nats.Connect(e.url, nats.UserInfo("relay-1", password("RELAY_1")), nats.Secure(e.roots),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { told <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.Publish("$KV.relays.relay-2", nil); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-told:
		if !strings.Contains(err.Error(), "$KV.relays.relay-2") {
			t.Errorf("told %v", err)
		}
	case <-time.After(patience):
		t.Error("told nothing")
	}
}
