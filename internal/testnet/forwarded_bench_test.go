package testnet_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/tunnel"
	"trunkline/internal/visitor"
	"trunkline/relay/route"
)

// What a second relay on the way costs, with one route and with many in both relays'
// tables: rounds of requests to the relay that has the tunnel and of the same through
// another one take turns, so whatever else the machine does hits both alike. All is one
// process, browser, agent and portal too: what is to be read is the ratio.
func BenchmarkForwarded(b *testing.B) {
	for _, n := range []int{1, 50_000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			more := &testnet.More{Names: []id.Relay{"relay-2", "relay-3"}}
			w := testnet.StartLogged(b, zap.NewNop(), more.WithRelays)
			pbx := w.Connect("3631A20C0042", w.Portal(nil).URL()) // to the only relay there is yet
			second := w.Relay(more, "relay-2", nil)
			fillRoutes(w, more, second, n)
			here, there := pbx.Visit(), pbx.Visit()
			w.Through(there, second.Addr())
			var direct, forwarded time.Duration
			rounds := 0
			round(b, here)
			round(b, there)
			for b.Loop() {
				direct += round(b, here)
				forwarded += round(b, there)
				rounds++
			}
			if came := value(w, second.Registry, "trunkline_relay_peer_received_bytes_total"); came < float64(rounds*perRound*size) {
				b.Fatalf("%.0f bytes came over links: not all answers did", came)
			}
			b.ReportMetric(float64(rounds*perRound)/direct.Seconds(), "direct/s")
			b.ReportMetric(float64(rounds*perRound)/forwarded.Seconds(), "forwarded/s")
			b.ReportMetric(direct.Seconds()/forwarded.Seconds(), "forwarded/direct")
		})
	}
}

const (
	perRound = 200
	atOnce   = 8 // requests
	size     = 1 << 10
)

// round is how long a round of answers takes.
func round(b *testing.B, v *visitor.Visitor) time.Duration {
	b.Helper()
	var g errgroup.Group
	g.SetLimit(atOnce)
	path, began := fmt.Sprintf("/test/bytes?n=1&size=%d", size), time.Now()
	for range perRound {
		g.Go(func() error {
			_, err := v.Fetch(b.Context(), path)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// fillRoutes has relay-3, of which there is nothing but its word, announce devices
// until the others know of n. They are said to be second tunnels, of which control
// makes nothing: it would end those of first ones, which its database does not have,
// while the rounds are timed.
func fillRoutes(w *testnet.World, more *testnet.More, second *testnet.Relay, n int) {
	w.T.Helper()
	const name = "relay-3"
	as := w.BusAs(more, name)
	a := route.NewAnnouncer(as, route.NewTable(name, func(id.Device, bus.Route) {}, func(id.Site, id.Device) {}), zap.NewNop())
	account := id.NewAccount()
	for range n - 1 {
		a.Set(bus.Route{
			Relay: name, Device: id.NewDevice(), Site: id.NewSite(), Account: account, Tunnel: id.NewTunnel(), Since: time.Now().UTC(),
			Portal: tunnel.Portal{Origin: "https://127.0.0.1:8088"}, Agent: "1.0.0", Remote: "198.18.0.1:40000", Second: true,
		})
	}
	ctx, cancel := context.WithTimeout(w.T.Context(), 5*time.Minute)
	defer cancel()
	for a.Pending() > 0 { // a bus that is too busy to answer in time is asked again
		if err := a.Flush(ctx); ctx.Err() != nil {
			w.T.Fatal(errors.Join(err, ctx.Err()))
		}
	}
	w.Eventually("all routes known", func() error {
		if have := value(w, second.Registry, "trunkline_relay_routes"); int(have) != n {
			return fmt.Errorf("%.0f of %d", have, n)
		}
		return nil
	})
}

// value is what a relay says of itself.
func value(w *testnet.World, r prometheus.Gatherer, name string) float64 {
	w.T.Helper()
	families, err := r.Gather()
	if err != nil {
		w.T.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() // it is one of them
		}
	}
	return 0
}
