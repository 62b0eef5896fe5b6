package configs_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline/control"
	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// When NATS is away, control says of no device how it is, and takes none for lost;
// when it is back, though empty, it says so again.
func TestStatusesWhileNATSIsAway(t *testing.T) {
	e := startExternal(t, asItIs, "relay-1")
	c, f := startControl(t, e)
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	g, err := f.Activate(t.Context(), fleet.Activation{
		Serial: "SN-1", Model: "P-Series Software Edition", Firmware: "83.19.0.110", Key: pub, Proof: controlapi.ActivationProof(priv, "SN-1"),
		Email: "owner@example.com", Password: c.password,
	})
	if err != nil {
		t.Fatal(err)
	}
	relay := e.open(t, "relay-1", "RELAY_1")
	var refill atomic.Bool
	refill.Store(true)
	go func() { // is relay-1
		leases, routes := bus.NewBucket[bus.Lease](relay, bus.Relays), bus.NewBucket[bus.Route](relay, bus.Routes)
		for t.Context().Err() == nil {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := leases.Put(ctx, "relay-1", bus.Lease{Relay: "relay-1", Started: time.Now()})
			if err == nil && refill.Load() {
				_, err = routes.Put(ctx, bus.RouteKey("relay-1", g.Device), bus.Route{
					Relay: "relay-1", Device: g.Device, Site: g.Site, Account: c.owner.Account, Tunnel: id.NewTunnel(), Since: time.Now(),
				})
				refill.Store(err != nil)
			}
			cancel()
			time.Sleep(200 * time.Millisecond)
		}
	}()
	is := func(st fleet.Status, known bool) func() bool {
		return func() bool {
			d, err := f.Device(t.Context(), c.owner, g.Device)
			if err != nil {
				t.Fatal(err)
			}
			if d.Presence.Status == fleet.StatusDisconnected {
				t.Fatalf("the device is taken for lost: %+v", d.Presence)
			}
			return d.Presence.Status == st && d.Presence.Unknown.IsZero() == known
		}
	}
	eventually(t, "connected, with NATS", is(fleet.StatusConnected, true))

	addr := e.server.Addr().String()
	e.server.Shutdown()
	e.server.WaitForShutdown()
	gone := time.Now()
	eventually(t, "not known, without NATS", is(fleet.StatusConnected, false))
	t.Logf("not known %s after NATS was gone", time.Since(gone).Round(time.Millisecond))
	d, err := f.Device(t.Context(), c.owner, g.Device)
	if err != nil || d.Presence.Unknown.After(gone.Add(time.Second)) {
		t.Errorf("not known since %s, NATS gone at %s: %v", d.Presence.Unknown, gone, err)
	}
	b, err := os.ReadFile(e.conf)
	if err != nil {
		t.Fatal(err)
	}
	write(t, e.conf, strings.ReplaceAll(string(b), "127.0.0.1:-1", addr))
	startNATS(t, e.conf)
	back := time.Now()
	refill.Store(true)
	eventually(t, "connected, with NATS again", is(fleet.StatusConnected, true))
	t.Logf("known %s after NATS was back, empty", time.Since(back).Round(time.Millisecond))
}

type startedControl struct {
	owner    fleet.Principal
	password string
}

// startControl runs a control node on that NATS until the test ends.
func startControl(t *testing.T, e external) (startedControl, *fleet.Fleet) {
	t.Helper()
	cfg := control.Default()
	cfg.Data, cfg.Listen, cfg.Admin, cfg.FirstAdmin = t.TempDir(), "", "", "owner@example.com"
	c, err := control.New(t.Context(), control.Options{
		Config: cfg, Bus: e.open(t, "control", "CONTROL"), Log: zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	b, err := os.ReadFile(cfg.Data + "/admin-password")
	if err != nil {
		t.Fatal(err)
	}
	out := startedControl{password: strings.TrimSpace(string(b))}
	s, err := c.Fleet().SignIn(t.Context(), cfg.FirstAdmin, out.password, netip.MustParseAddr("127.0.0.1"))
	if err == nil {
		out.owner, err = c.Fleet().Authenticate(t.Context(), s.Token)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out, c.Fleet()
}
