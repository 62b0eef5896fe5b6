package testnet_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/relay"
)

// A PBX of an account that wishes for a region and a second tunnel has the first
// one there and the second elsewhere; it counts once; and when the first one's
// relay is gone, the second one serves at once.
func TestSecondTunnelServes(t *testing.T) {
	more := &testnet.More{Names: []id.Relay{"relay-2", "relay-3"}}
	w := testnet.Start(t, more.WithRelays)
	gone := testnet.NewWire(t)
	r2 := w.Relay(more, "relay-2", func(c *relay.Config) {
		c.Region, c.Advertise, c.Peer.Advertise = "eu", []string{gone.Addr()}, gone.Addr()
	})
	gone.To(r2.Addr().String())
	r3 := w.Relay(more, "relay-3", func(c *relay.Config) { c.Region = "us" })

	region, yes := "eu", true
	if _, err := w.API.EditTunnelSettings(t.Context(), controlapi.TunnelSettingsEdit{Region: &region, SecondTunnel: &yes}); err != nil {
		t.Fatal(err)
	}
	portal := w.Portal(nil)
	var pbx *testnet.PBX
	w.Eventually("control to know of three relays", func() error {
		pbx = w.Activate("3631A20C0042", portal.URL())
		b, err := os.ReadFile(filepath.Join(pbx.Data, "identity.json"))
		if err == nil && (!bytes.Contains(b, []byte("relay-2")) || !bytes.Contains(b, []byte("relay-3"))) {
			err = fmt.Errorf("the agent was told %s", b)
		}
		return err
	})
	pbx.Run()
	if d := pbx.AwaitStatus(controlapi.StatusConnected); d.Relay != "relay-2" {
		t.Fatalf("the first tunnel is at %s, and the wish is eu", d.Relay)
	}
	routes := bus.NewBucket[bus.Route](r3.Bus, bus.Routes)
	var second id.Relay
	w.Eventually("a second tunnel elsewhere", func() error {
		for _, r := range []id.Relay{"relay-1", "relay-3"} {
			x, _, err := routes.Get(t.Context(), bus.RouteKey(r, pbx.Device))
			if err == nil && x.Second {
				second = r
				return nil
			}
		}
		return errors.New("no relay has said so")
	})
	if d := pbx.AwaitStatus(controlapi.StatusConnected); d.Relay != "relay-2" {
		t.Fatalf("with a second tunnel the console says that the PBX is at %s", d.Relay)
	}
	if s, err := w.API.Subscription(t.Context()); err != nil || s.Used != 1 {
		t.Errorf("%d connections are in use, %v", s.Used, err)
	}

	v := pbx.Visit()
	w.Through(v, r3.Addr())
	if _, err := v.Fetch(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	gone.Cut()
	w.Eventually("the next request to be served", func() error {
		_, err := v.Fetch(t.Context(), "/")
		return err
	})
	t.Logf("served through the second tunnel %v after the cut", time.Since(began))
	w.Eventually("the console to say where", func() error {
		if d := pbx.AwaitStatus(controlapi.StatusConnected); d.Relay != second {
			return fmt.Errorf("it says %s", d.Relay)
		}
		return nil
	})
}

// Agents that are connected hear of another wish at once, the device's own and the
// account's, and not when their pass is half over.
func TestAWishReachesTheAgentAtOnce(t *testing.T) {
	more := &testnet.More{Names: []id.Relay{"relay-2"}}
	w := testnet.Start(t, more.WithRelays)
	r2 := w.Relay(more, "relay-2", nil)
	routes := bus.NewBucket[bus.Route](r2.Bus, bus.Routes)
	second := func(p *testnet.PBX) (n int) {
		for _, r := range []id.Relay{"relay-1", "relay-2"} {
			if x, _, err := routes.Get(t.Context(), bus.RouteKey(r, p.Device)); err == nil && x.Second && x.Down == "" {
				n++
			}
		}
		return n
	}
	portal := w.Portal(nil)
	one, two := w.Activate("3631A20C0042", portal.URL()), w.Activate("3631A20C0043", portal.URL())
	for _, p := range []*testnet.PBX{one, two} {
		p.Run()
		p.AwaitStatus(controlapi.StatusConnected)
	}
	want := func(p *testnet.PBX, why string) {
		t.Helper()
		w.Eventually("a second tunnel, as "+why, func() error {
			if n := second(p); n != 1 {
				return fmt.Errorf("there are %d", n)
			}
			return nil
		})
	}
	on, yes := "on", true
	if _, err := w.API.EditDevice(t.Context(), one.Device, controlapi.DeviceEdit{SecondTunnel: &on}); err != nil {
		t.Fatal(err)
	}
	want(one, "the device's options say")
	if n := second(two); n != 0 {
		t.Errorf("the other device has %d second tunnels", n)
	}
	if _, err := w.API.EditTunnelSettings(t.Context(), controlapi.TunnelSettingsEdit{SecondTunnel: &yes}); err != nil {
		t.Fatal(err)
	}
	want(two, "the account says")
}
