package testnet_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
)

// A relay that is added gets its part of the tunnels that are up, and who visits a PBX
// meanwhile notices nothing.
func TestANewRelayIsFilled(t *testing.T) {
	t.Parallel()
	more := &testnet.More{Names: []id.Relay{"relay-2"}}
	const pbxs = 40
	licensed := connections(t, pbxs)
	w := testnet.Start(t, func(c *up.Config) {
		more.WithRelays(c)
		licensed(c)
		c.Relay.Tunnels.Rebalance = 600
	})
	portal := w.Portal(nil)
	var all []*testnet.PBX
	for i := range pbxs {
		p := w.Activate(id.Serial(fmt.Sprintf("3631A20C%04d", i)), portal.URL())
		p.Run()
		all = append(all, p)
	}
	for _, p := range all {
		p.AwaitStatus(controlapi.StatusConnected)
	}
	over := make(chan struct{})
	var visiting sync.WaitGroup
	for _, p := range all[:5] {
		v := p.Visit()
		visiting.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if _, err := v.Fetch(t.Context(), "/"); err != nil {
					t.Errorf("a page of %s: %v", p.Serial, err)
					return
				}
			}
		})
	}
	defer visiting.Wait()
	defer close(over)

	w.Relay(more, "relay-2", nil)
	w.Eventually("relay-2 to have its part", func() error {
		page, err := w.API.Devices(t.Context(), controlapi.DeviceQuery{PageQuery: controlapi.PageQuery{Limit: pbxs}})
		n := 0
		for _, d := range page.Items {
			if d.Status != controlapi.StatusConnected {
				err = errors.Join(err, fmt.Errorf("%s is %s", d.Serial, d.Status))
			}
			if d.Relay == "relay-2" {
				n++
			}
		}
		if n < pbxs/4 { // below that, ten more than the average are no reason
			err = errors.Join(err, fmt.Errorf("it has %d tunnels of %d", n, pbxs))
		}
		return err
	})
}
