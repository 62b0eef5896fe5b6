package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/loadtest"
	"trunkline/loadtest/fleet"
	"trunkline/loadtest/scenario"
)

// Run is one whole test.
type Run struct {
	Dir             string // its own
	Trunkline, NATS string // programs
	Agent, From     string // see Options
	OwnClocks       bool
	Devices, Visits int
	Failures        []Failure
	Scale           Scale
	Log             *zap.Logger
	Registerer      prometheus.Registerer
	Say             func(format string, args ...any)
}

// Failures are all of them, in the order in which they happen.
func Failures() []Failure {
	return []Failure{
		relaysRolling, relayKilled, secondWished, relayKilledSecond, relayFrozen, relayFrozenSecond, relayCut, relayTwin, agentReturns,
		controlsRolling, controlKilled, controlFrozen,
		natsNodeKilled, natsNodeFrozen, natsInHaste, natsMinority, natsFrozen, natsGone, natsNew,
		databaseRestarted, databaseAway, databaseFailsOver,
	}
}

// inShort are those of the short test, which is run with every change: a restart and a
// loss of each part, and each with its own goals but those of time.
var inShort = []string{relaysRolling.Name, relayKilled.Name, controlKilled.Name, databaseRestarted.Name, natsGone.Name}

// Choose is the failures of those names; all, or those of the short test, if
// there is none.
func Choose(names []string, short bool) ([]Failure, error) {
	if len(names) == 0 && short {
		names = inShort
	}
	if len(names) == 0 {
		return Failures(), nil
	}
	known := slices.Concat(Failures(), Clocks(), []Failure{upgrade})
	var out []Failure
	for _, name := range names {
		i := slices.IndexFunc(known, func(f Failure) bool { return f.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no failure is called %q", name)
		}
		out = append(out, known[i])
	}
	return out, nil
}

// spare is how many PBXs may be activated on the way.
const spare = 2000

// Do starts the installation and lets the failures happen.
func (r *Run) Do(ctx context.Context) (rows []Row, err error) {
	c, err := Start(ctx, Options{
		Dir: r.Dir, Trunkline: r.Trunkline, Agent: r.Agent, From: r.From, OwnClocks: r.OwnClocks, NATS: r.NATS, Drain: r.Scale.Drain, Relays: 3, Controls: 2, Buses: 3, Sites: r.Devices + spare, Log: r.Log,
		Standby: slices.ContainsFunc(r.Failures, func(f Failure) bool { return f.Name == databaseFailsOver.Name }),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	r.Say("%d relays, %d controls, %d nats-servers and PostgreSQL run; %s", len(c.relays), len(c.controls), len(c.nats), c.net)
	g, err := loadtest.NewGenerator(loadtest.Part{
		Scenario: scenario.Scenario{Devices: r.Devices, Visits: min(r.Visits, r.Devices)}, Tag: fleet.NewTag(),
	}, c.Target, r.Log, r.Registerer)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	began := time.Now()
	if err := g.Bring(ctx); err != nil {
		return nil, err
	}
	r.Say("%d PBXs and %d visits are up after %.0f s", r.Devices, len(g.Sites()), time.Since(began).Seconds())
	for _, f := range r.Failures {
		if _, flat := c.net.(loopback); flat && f.Cuts {
			r.Say("%s: skipped, it needs namespaces", f.Name)
			continue
		}
		r.Say("%s: %s", f.Name, f.About)
		if err := g.Visit(ctx); err != nil {
			return rows, fmt.Errorf("before %s: %w", f.Name, err)
		}
		rows = append(rows, Happen(ctx, &Scene{Cluster: c, Generator: g, Scale: r.Scale}, f))
		if ctx.Err() != nil {
			return rows, errors.New("interrupted")
		}
	}
	return rows, nil
}

// Missed reports the failures whose goals were missed, and those that were to be done
// and have no row, since they were skipped. Goals of time count only if they are to.
func Missed(asked []Failure, rows []Row, timed bool) error {
	var missed, skipped []string
	for _, r := range rows {
		if len(r.Faults) > 0 || timed && len(r.Late) > 0 {
			missed = append(missed, r.Failure)
		}
	}
	for _, f := range asked {
		if !slices.ContainsFunc(rows, func(r Row) bool { return r.Failure == f.Name }) {
			skipped = append(skipped, f.Name)
		}
	}
	var errs []error
	if len(missed) > 0 {
		errs = append(errs, errors.New("goals were missed: "+strings.Join(missed, ", ")))
	}
	if len(skipped) > 0 {
		errs = append(errs, errors.New("skipped, run as root to have them done: "+strings.Join(skipped, ", ")))
	}
	return errors.Join(errs...)
}
