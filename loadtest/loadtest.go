// Package loadtest puts load on an installation from outside, and says how it
// was borne: thousands of simulated PBXs with the real agent, and the staff who
// visit them.
//
//	scenario --> target: the installation, which runs already or is started
//	        \--> fleet: the PBXs, with their lines, before one portal
//	        \--> traffic: the visitors, an open loop
//	        \--> result: what they saw
//
// Agents, visitors and portal share this process: what is measured is what a
// visitor sees, and on the relays' own machine all compete for the same cores.
// What a relay costs is bench's to say.
//
// It leaves nothing behind: the devices it added are removed at the end, also
// when it is interrupted. If it was killed, search the device list for LOADTEST.
package loadtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/internal/service"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/target"
)

// endTime bounds what comes after a run.
const endTime = 2 * time.Minute

// Options of a run.
type Options struct {
	Scenario scenario.Scenario
	Text     string // of it, as it was read

	// Open signs in to the installation; own starts and stops its relays, and is
	// nil where it is somebody else's.
	Open func(context.Context) (t *target.Target, own *target.Own, err error)

	// Report gets the result as soon as there is one: what comes after the load
	// asks an installation that may be gone by then. Nil: nobody waits for it.
	Report func(*result.Result) error

	Crew       Crew // nil: this process makes the load
	Live       func(Live)
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Crew are generators in other processes.
type Crew interface {
	// Gather waits for all of them, and has them bring up their PBXs.
	Gather(context.Context, Order) error
	// Start has them begin: what counts is what is due after began.
	Start(began time.Time)
	// Watch returns when all have ended or are lost. When ctx ends it has them
	// end early.
	Watch(context.Context)
	// Seen is how they stand.
	Seen() Live
	// Results are what each has seen, as far as it is known.
	Results() []*result.Result
}

// Run makes the load. When ctx ends early, the result is of the part until then
// and says so. An error beside a result is about what came after the load.
func Run(ctx context.Context, o Options) (*result.Result, error) {
	t, own, err := o.Open(ctx)
	if err != nil {
		return nil, err
	}
	r := &run{o: o, target: t, own: own, events: new(events)}
	res, err := r.run(ctx)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if own != nil {
		return res, errors.Join(err, own.Close(end))
	}
	return res, errors.Join(err, t.Close(end))
}

// NewResult is one in which nothing has been seen yet.
func NewResult(s scenario.Scenario, text string, began time.Time) *result.Result {
	return &result.Result{
		Schema: result.Schema, Tool: result.Tool{Version: service.Version, Go: runtime.Version()}, Machine: result.ThisMachine(),
		Scenario: result.Scenario{Name: s.Name, Text: text},
		Began:    began, Ended: began, WarmUp: s.Warmup.Seconds(), Step: result.StepFor(s.Duration).Seconds(),
		Kinds: make(map[string]*result.Kind),
	}
}

// hostName names a generator.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		name = "generator"
	}
	return fmt.Sprintf("%s/%d", name, os.Getpid())
}
