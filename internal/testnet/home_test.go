package testnet_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/relay"
)

// streamIdle is for how long a stream is kept that serves nobody.
const streamIdle = 50 * time.Millisecond

// A PBX goes to the region that its account wishes for once a relay is there, and to
// another one when the wish is another; who visits it meanwhile notices nothing.
func TestAPBXGoesHome(t *testing.T) {
	t.Parallel()
	more := &testnet.More{Names: []id.Relay{"relay-2"}}
	w := testnet.Start(t, func(c *up.Config) {
		more.WithRelays(c)
		c.Relay.Region, c.Relay.Tunnels.Settle, c.Relay.Edge.Limits.StreamIdle = "eu", 0, streamIdle
	})
	wish := func(region string) {
		t.Helper()
		if _, err := w.API.EditTunnelSettings(t.Context(), controlapi.TunnelSettingsEdit{Region: &region}); err != nil {
			t.Fatal(err)
		}
	}
	wish("us")
	portal := w.Portal(nil)
	pbx := w.Activate("3631A20C0042", portal.URL())
	pbx.Run()
	if d := pbx.AwaitStatus(controlapi.StatusConnected); d.Relay != "relay-1" {
		t.Fatalf("it is at %s, the only relay is relay-1", d.Relay)
	}

	v := pbx.Visit()
	over := make(chan struct{})
	var visiting sync.WaitGroup
	visiting.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-over:
				t.Logf("%d pages", n)
				return
			default:
			}
			if _, err := v.Fetch(t.Context(), "/"); err != nil {
				t.Errorf("page %d: %v", n, err)
				return
			}
			if n%10 == 9 {
				time.Sleep(time.Second) // a tunnel is left when nothing runs on it
			}
		}
	})
	defer visiting.Wait()
	defer close(over)
	isAt := func(r id.Relay) {
		t.Helper()
		w.Eventually("the PBX at "+string(r), func() error {
			if d := pbx.AwaitStatus(controlapi.StatusConnected); d.Relay != r {
				return fmt.Errorf("it is at %s", d.Relay)
			}
			return nil
		})
	}
	w.Relay(more, "relay-2", func(c *relay.Config) { c.Region, c.Tunnels.Settle = "us", 0 })
	isAt("relay-2")
	wish("eu")
	isAt("relay-1")
}
