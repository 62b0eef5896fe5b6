package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
)

const crowd = 10_000

// There are as many series with 10,000 devices as with two, and none names a
// device, a site, a user or a visit.
func TestCardinality(t *testing.T) {
	addr, password := freeAddr(t), filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("crowd-password"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := testnet.Start(t, func(c *up.Config) {
		c.Bus.Listen, c.Bus.Logins = addr, []bus.Login{{User: "crowd", PasswordFile: password, Relay: "crowd"}}
	})
	portal := w.Portal(nil).URL()
	visited := func(serial id.Serial) *testnet.PBX {
		pbx := w.Connect(serial, portal)
		if _, err := pbx.Visit().Fetch(t.Context(), "/"); err != nil {
			t.Fatal(err)
		}
		return pbx
	}
	first := visited("FEW00001")
	visited("FEW00002").Stop() // and one that leaves: its end has a series, too
	awaitGauge(w, "trunkline_relay_routes", 2)
	before := series(t, w)

	b, err := bus.Open(t.Context(), bus.Config{URL: "nats://" + addr, User: "crowd", PasswordFile: password}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	devices := announceCrowd(t, b)
	awaitGauge(w, "trunkline_relay_routes", crowd+2)
	awaitGauge(w, `trunkline_control_devices{status="connected"}`, crowd+1)
	visited("MORE0001").Stop()
	after := series(t, w)

	var grown []string
	for s := range after {
		if !before[s] {
			grown = append(grown, s)
		}
	}
	slices.Sort(grown)
	if len(grown) > 0 {
		t.Errorf("%d series before, %d after; new are\n%s", len(before), len(after), strings.Join(grown, "\n"))
	}
	all := strings.Join(slices.Collect(maps.Keys(after)), "\n")
	for _, secret := range []string{string(first.Device), string(first.Site), string(first.Serial), string(devices[0]), "admin@"} {
		if strings.Contains(all, secret) {
			t.Errorf("a series names %s", secret)
		}
	}
	t.Logf("%d series of control and relay, with %d devices", len(after), crowd+3)
}

// keepLease has a relay that is not there say on the bus that it lives, until the
// test ends.
func keepLease(t testing.TB, b *bus.Bus, l bus.Lease) {
	t.Helper()
	l.Started = time.Now()
	lease := func() error {
		_, err := bus.NewBucket[bus.Lease](b, bus.Relays).Put(t.Context(), string(l.Relay), l)
		return err
	}
	testnet.Eventually(t, string(l.Relay)+" is on the bus", lease)
	testnet.Go(t, string(l.Relay), func(ctx context.Context) error {
		tick := time.NewTicker(bus.LeaseEvery / 2)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				_ = lease() // the next one may succeed
			}
		}
	})
}

// announceCrowd has a relay that is not there say that it holds so many tunnels.
func announceCrowd(t *testing.T, b *bus.Bus) []id.Device {
	t.Helper()
	keepLease(t, b, bus.Lease{Relay: "crowd"})
	routes := bus.NewBucket[bus.Route](b, bus.Routes)
	devices := make([]id.Device, crowd)
	var g errgroup.Group
	g.SetLimit(64)
	for i := range devices {
		devices[i] = id.NewDevice()
		g.Go(func() error {
			r := bus.Route{Relay: "crowd", Device: devices[i], Site: id.NewSite(), Account: id.NewAccount(), Tunnel: id.NewTunnel(), Since: time.Now()}
			ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience) // of each: all take what they take
			defer cancel()
			_, err := routes.Put(ctx, bus.RouteKey("crowd", devices[i]), r)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return devices
}

func awaitGauge(w *testnet.World, name string, want int) {
	w.T.Helper()
	w.Eventually(fmt.Sprintf("%s is %d", name, want), func() error {
		if got := scrape(w.T, w)[name]; got != float64(want) {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// series are the names and labels that control and relay give, but for those
// whose first value comes with time alone: transactions by operation, which are
// tasks at their own hours, and API routes, which are those that were called.
func series(t testing.TB, w *testnet.World) map[string]bool {
	t.Helper()
	out := make(map[string]bool)
	for s := range scrape(t, w) {
		if !strings.HasPrefix(s, "trunkline_control_database_operation_seconds") && !strings.HasPrefix(s, "trunkline_control_http_request") {
			out[s] = true
		}
	}
	return out
}

// scrape reads both planes' metrics: each sample by name and labels.
func scrape(t testing.TB, w *testnet.World) map[string]float64 {
	t.Helper()
	out := make(map[string]float64)
	for _, addr := range w.Up.AdminAddrs() {
		resp, err := get(addr.String(), "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.Now()}, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range samples {
				name := s.Metric.String()
				out[strings.ReplaceAll(name, ", ", ",")] = float64(s.Value)
			}
		}
	}
	return out
}
