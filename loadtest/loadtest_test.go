package loadtest_test

import (
	"context"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	trunkline "trunkline/cmd/trunkline/cli"
	"trunkline/internal/controlapi"
	"trunkline/internal/service"
	"trunkline/loadtest"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/target"
)

// The test's own program is the installation's too: `go build` in a test would
// be cached as it was.
const asTrunkline = "LOADTEST_AS_TRUNKLINE"

func TestMain(m *testing.M) {
	if os.Getenv(asTrunkline) != "" {
		os.Exit(service.Main(trunkline.Root()))
	}
	os.Setenv(asTrunkline, "1") // for children
	goleak.VerifyTestMain(m)
}

func parse(t *testing.T, text string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a scenario on an installation of its own.
func run(t *testing.T, ctx context.Context, text string) *result.Result {
	t.Helper()
	s := parse(t, text)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var at *target.Target
	var reported *result.Result
	r, err := loadtest.Run(ctx, loadtest.Options{
		Scenario: s, Text: text, Log: zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)), Registerer: prometheus.NewRegistry(),

		Open: func(ctx context.Context) (*target.Target, *target.Own, error) {
			own, err := target.Start(ctx, t.TempDir(), self, s.Relays, s.Room())
			if err != nil {
				return nil, nil, err
			}
			at = own.Target
			return own.Target, own, nil
		},
		// It does not wait for the PBXs to be removed: the installation may be gone.
		Report: func(r *result.Result) error {
			left, err := at.API.Devices(ctx, controlapi.DeviceQuery{})
			if err != nil || len(left.Items) == 0 {
				t.Errorf("reported when %d PBXs were left: %v", len(left.Items), err)
			}
			reported = r
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if reported != r {
		t.Errorf("reported was %v", reported)
	}
	for _, o := range r.Thresholds {
		if !o.Passed {
			t.Errorf("%s does not hold: %s", o.Threshold, o.Got)
		}
	}
	return r
}

// Browsing while a relay of two is killed: the PBXs come to the other one, and
// whatever arrives is as it was sent.
func TestStorm(t *testing.T) {
	r := run(t, t.Context(), `
name: storm
about: Half of 30 PBXs lose their relay.
devices: 30
visits: 20
relays: 2
warmup: 500ms
duration: 8s
traffic:
  - {kind: page, rate: 20, size: 4KiB, assets: 3, asset_size: 8KiB}
  - {kind: websocket, open: 10, every: 200ms, size: 100}
events:
  - {at: 2s, kill: 1, for: 2s}
thresholds:
  - page.ok > 0
  - websocket.ok > 0
  - lost == 0
  - duplicated == 0
  - corrupted == 0
  - tunnels_last >= 30
`)
	if low := least(r.Tunnels); low >= 30 {
		t.Errorf("a relay was killed, and %v tunnels were up all the time", low)
	}
	if len(r.Events) != 2 || !r.Events[0].Disturbs || r.Relays[1].Memory.Last() == 0 || len(r.Relays[0].CPU.Known()) == 0 {
		t.Errorf("events %+v, relays %+v", r.Events, r.Relays)
	}
}

func least(s result.Series) float64 {
	low := s.Last()
	for _, v := range s.Known() {
		low = min(low, v)
	}
	return low
}
