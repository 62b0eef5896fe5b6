package loadtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"trunkline/loadtest/fleet"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/target"
)

// run is one run, of one generator or many, as its coordinator sees it.
type run struct {
	o      Options
	target *target.Target
	own    *target.Own // nil: somebody else's installation
	events *events
	relays *samples
	failed error // of what was done to the installation
	mu     sync.Mutex
}

// Order is what generators in other processes are told.
type Order struct {
	Scenario scenario.Scenario
	Text     string
	Tag      string
	Target   *target.Target
}

func (r *run) run(ctx context.Context) (*result.Result, error) {
	if r.own == nil && r.o.Scenario.OwnRelays() {
		return nil, errors.New("the scenario kills or restarts relays, or has visitors come to any of them, which a test does to an installation of its own only: leave out --server")
	}
	if err := r.target.Room(ctx, r.o.Scenario.Sites()); err != nil {
		return nil, err
	}
	tag := fleet.NewTag()
	var res *result.Result
	var err error
	if r.o.Crew != nil {
		res, err = r.crew(ctx, tag)
	} else {
		res, err = r.alone(ctx, tag)
	}
	if res != nil && r.o.Report != nil {
		err = errors.Join(err, r.o.Report(res))
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return res, errors.Join(err, r.failed, fleet.Remove(end, r.target.API, tag))
}

// alone makes the load in this process.
func (r *run) alone(ctx context.Context, tag string) (*result.Result, error) {
	g, err := NewGenerator(Part{Scenario: r.o.Scenario, Text: r.o.Text, Tag: tag}, r.target, r.o.Log, r.o.Registerer)
	if err != nil {
		return nil, err
	}
	if err := r.bring(ctx, g); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	began := time.Now().Add(r.o.Scenario.Warmup)
	r.beside(ctx, began, func() Live { return g.Live(began) }, func() { g.Load(ctx, began) })
	return r.finish(ctx, g.Result()), g.Close()
}

// bring shows how the PBXs come up.
func (r *run) bring(ctx context.Context, g *Generator) error {
	done, stop := context.WithCancel(ctx)
	var showing sync.WaitGroup
	showing.Go(func() { r.show(done, func() Live { return g.Live(time.Time{}) }) })
	err := g.Bring(ctx)
	stop()
	showing.Wait()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted before the load began: %w", err)
	}
	return err
}

// beside runs what goes on while the load does: looks at the relays, shows it,
// and does to the relays what the scenario has.
func (r *run) beside(ctx context.Context, began time.Time, live func() Live, load func()) {
	s := r.o.Scenario
	r.relays = newSamples(began, result.StepFor(s.Duration))
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { r.relays.run(watching, r.sample) })
	wg.Go(func() {
		r.show(watching, func() Live {
			l := live()
			l.Relays = slices.DeleteFunc(r.watched(), func(p result.Process) bool { return !r.relays.running(p.Name) })
			return l
		})
	})
	hitting, enough := context.WithCancel(ctx)
	var hits sync.WaitGroup
	hits.Go(func() { each(hitting, began, s.Events, func(e scenario.Event) { r.hit(hitting, began, e) }) })
	load()
	enough()
	hits.Wait()
	stop()
	wg.Wait()
}

func (r *run) sample(s *samples, at int) {
	ctx, cancel := context.WithTimeout(context.Background(), s.step)
	defer cancel()
	for _, relay := range r.target.Relays {
		u, err := relay.Use(ctx)
		if err != nil { // it is down, and so has no use
			s.gone(relay.Name)
			continue
		}
		s.use(relay.Name, at, u)
	}
}

func (r *run) watched() (out []result.Process) {
	for _, relay := range r.target.Relays {
		out = append(out, r.relays.process(relay.Name, relay.Name))
	}
	return out
}

// hit does to the relays what an event says.
func (r *run) hit(ctx context.Context, began time.Time, e scenario.Event) {
	var err error
	switch {
	case e.Kill > 0:
		r.events.add(began, true, "relay-%d is killed", e.Kill)
		if err = r.own.Kill(ctx, e.Kill, e.For); err == nil && e.For > 0 && ctx.Err() == nil {
			r.events.add(began, false, "relay-%d is up again", e.Kill)
		}
	case e.Restart != "":
		err = r.own.Restart(ctx, func(relay string) {
			r.events.add(began, false, "%s is told to end (SIGTERM), and started again", relay)
		})
		if err == nil && ctx.Err() == nil {
			r.events.add(began, false, "every relay has been restarted")
		}
	}
	if err != nil && ctx.Err() == nil {
		r.events.add(began, false, "%v", err)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failed = errors.Join(r.failed, err)
	}
}

// finish completes what the generators have seen.
func (r *run) finish(ctx context.Context, res *result.Result) *result.Result {
	if ctx.Err() != nil && res.Seconds() < r.o.Scenario.Duration.Seconds() {
		res.Interrupted = fmt.Sprintf("ended from outside, %.0f s before its time", r.o.Scenario.Duration.Seconds()-res.Seconds())
	}
	res.Relays = r.watched()
	if err := res.Merge(&result.Result{Scenario: res.Scenario, Step: res.Step, Began: res.Began, Ended: res.Ended, Events: r.events.all()}); err != nil {
		panic("BUG: " + err.Error())
	}
	for _, text := range r.o.Scenario.Thresholds {
		t, err := result.ParseThreshold(text)
		if err != nil {
			panic("BUG: the scenario was checked: " + err.Error())
		}
		res.Thresholds = append(res.Thresholds, t.Judge(res))
	}
	return res
}
