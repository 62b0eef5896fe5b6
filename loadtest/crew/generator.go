package crew

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/service"
	"trunkline/loadtest"
	"trunkline/loadtest/clock"
	"trunkline/loadtest/result"
	"trunkline/loadtest/target"
)

// Generator joins a run that is coordinated elsewhere.
type Generator struct {
	Bus        *bus.Bus
	Name       string
	Log        *zap.Logger
	Registerer prometheus.Registerer
	Say        func(format string, args ...any)
	// Report gets what this generator has seen, once there is no more to come. The
	// coordinator may be gone by then, and with it what it was told.
	Report func(*result.Result) error

	id   int
	turn int // of the results that were reported

	mu     sync.Mutex
	state  string
	failed string
	gen    *loadtest.Generator // nil: has no part yet
	end    time.Duration       // after began
	began  time.Time
	begun  time.Time // the same by the coordinator's clock
}

// patience is how long a coordinator may not answer before a generator that has
// joined gives up. The coordinator takes it for lost by then.
const patience = 15 * time.Second

var (
	errGone      = errors.New("the coordinator does not answer any more")
	errCalledOff = errors.New("the coordinator has ended the run")
)

// Run waits for a coordinator and does what it says, until that is done or ctx
// ends.
func (g *Generator) Run(ctx context.Context) error {
	g.state = stateIdle
	if err := g.join(ctx); err != nil {
		return err
	}
	g.Say("joined as generator %d", g.id+1)
	work, stop := context.WithCancelCause(ctx)
	var doing sync.WaitGroup
	orders := make(chan nextAnswer, 2)
	doing.Go(func() { g.do(work, orders) })
	err := g.ask(work, stop, orders)
	why := cmp.Or(err, context.Cause(work))
	if errors.Is(err, errGone) {
		g.Say("the coordinator does not answer any more: ending")
	}
	stop(err)
	doing.Wait()
	return errors.Join(err, g.keep(why))
}

// keep hands on what was seen, and why it ended early, if it did.
func (g *Generator) keep(why error) error {
	r := g.seen()
	if r == nil {
		return nil
	}
	if why != nil && r.Seconds() < g.end.Seconds() {
		r.Interrupted = why.Error()
	}
	r.Generators[0].Name = g.Name
	return g.Report(r)
}

// join asks until there is a coordinator.
func (g *Generator) join(ctx context.Context) error {
	for said := false; ; {
		a, err := bus.Call[joinRequest, joinAnswer](ctx, g.Bus, subjectJoin, joinRequest{Name: g.Name, Version: service.Version})
		if err == nil {
			g.id = a.ID
			return nil
		}
		if ctx.Err() == nil && fault.CodeOf(err) != fault.Unavailable {
			return err
		}
		if !said {
			said = true
			g.Say("waiting for a coordinator")
		}
		if !clock.Sleep(ctx, askEvery) {
			return errors.New("interrupted before a coordinator answered")
		}
	}
}

// ask tells how this generator stands and hears what to do, until there is no
// more to do. work ends early by stop, or from outside.
func (g *Generator) ask(work context.Context, stop context.CancelCauseFunc, orders chan<- nextAnswer) error {
	heard, obeyed := time.Now(), ""
	for {
		q := g.standing()
		a, err := bus.Call[nextRequest, nextAnswer](context.WithoutCancel(work), g.Bus, subjectNext, q)
		switch {
		case err == nil:
			heard = time.Now()
		case time.Since(heard) > patience:
			g.Log.Debug("no answer", zap.Error(err))
			return errGone
		}
		switch {
		case a.Bye && q.State == stateFailed:
			return errors.New(q.Error)
		case a.Bye:
			return nil
		case a.End:
			stop(errCalledOff)
		case (a.Part != nil || a.Begin != nil) && q.State != obeyed: // it comes until the state is another
			obeyed = q.State
			orders <- a
		}
		if work.Err() != nil && q.State != stateRunning {
			return context.Cause(work)
		}
		time.Sleep(askEvery)
	}
}

func (g *Generator) standing() nextRequest {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := nextRequest{ID: g.id, State: g.state, Error: g.failed}
	if g.gen != nil {
		q.Live = g.gen.Live(g.began)
	}
	return q
}

func (g *Generator) set(state string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = state
}

func (g *Generator) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state, g.failed = stateFailed, err.Error()
}

// do carries out the two orders that there are: a part, and to begin.
func (g *Generator) do(ctx context.Context, orders <-chan nextAnswer) {
	var a nextAnswer
	select {
	case a = <-orders:
	case <-ctx.Done():
		return
	}
	g.set(stateComing)
	done, err := g.bring(ctx, *a.Part)
	if err != nil {
		g.fail(err)
		return
	}
	defer done()
	g.set(stateReady)
	select {
	case a = <-orders:
		g.load(ctx, *a.Begin)
	case <-ctx.Done():
	}
}

func (g *Generator) bring(ctx context.Context, p part) (done func(), err error) {
	g.Say("bringing up %d PBXs", p.Scenario.Devices)
	dir, err := os.MkdirTemp("", "trunkline-loadtest-")
	if err != nil {
		return nil, err
	}
	undo := []func() error{func() error { return os.RemoveAll(dir) }}
	done = func() {
		for i := len(undo) - 1; i >= 0; i-- {
			if err := undo[i](); err != nil {
				g.Log.Error("clean up", zap.Error(err))
			}
		}
	}
	if err := g.bringIn(ctx, dir, p, &undo); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

func (g *Generator) bringIn(ctx context.Context, dir string, p part, undo *[]func() error) error {
	ca := ""
	if p.CA != "" {
		ca = filepath.Join(dir, "ca.pem")
		if err := os.WriteFile(ca, []byte(p.CA), 0o600); err != nil {
			return err
		}
	}
	t, err := target.Open(ctx, p.Server, ca, target.Login{Token: p.Token}, nil)
	if err != nil {
		return err
	}
	*undo = append(*undo, func() error { return t.Close(context.WithoutCancel(ctx)) })
	t.Ways = p.Ways
	gen, err := loadtest.NewGenerator(loadtest.Part{Scenario: p.Scenario, Text: p.Text, First: p.First, Tag: p.Tag}, t, g.Log, g.Registerer)
	if err != nil {
		return err
	}
	*undo = append(*undo, gen.Close)
	g.mu.Lock()
	g.gen, g.end = gen, p.Scenario.Duration
	g.mu.Unlock()
	return gen.Bring(ctx)
}

// load makes the load, and reports now and again what it has seen until then.
func (g *Generator) load(ctx context.Context, b begin) {
	began := time.Now().Add(b.Within)
	g.mu.Lock()
	g.began, g.begun, g.state = began, b.Began, stateRunning
	g.mu.Unlock()
	g.Say("running")
	over, stop := context.WithCancel(context.WithoutCancel(ctx))
	var reporting sync.WaitGroup
	reporting.Go(func() {
		for clock.Sleep(over, reportEvery) {
			if err := g.report(); err != nil {
				g.Log.Warn("what was seen until now could not be reported", zap.Error(err))
			}
		}
	})
	g.gen.Load(ctx, began)
	stop()
	reporting.Wait()
	for late := time.Now().Add(patience); ; time.Sleep(askEvery) {
		err := g.report()
		if err == nil {
			g.set(stateReported)
			return
		}
		if time.Now().After(late) || errors.Is(context.Cause(ctx), errGone) {
			g.fail(fmt.Errorf("the result could not be reported: %w", err))
			return
		}
	}
}

// seen is what has been seen until now; nil before the load. Its times are the
// coordinator's.
func (g *Generator) seen() *result.Result {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gen == nil {
		return nil
	}
	r := g.gen.Result()
	if r != nil {
		r.Began, r.Ended = g.begun, g.begun.Add(r.Ended.Sub(r.Began))
	}
	return r
}

// report sends what has been seen until now, in pieces.
func (g *Generator) report() error {
	r := g.seen()
	if r == nil {
		return nil // Load has just begun
	}
	whole, err := pack(r)
	if err != nil {
		return err
	}
	g.turn++
	of := (len(whole) + pieceSize - 1) / pieceSize
	for i := range of {
		p := piece{ID: g.id, Turn: g.turn, Index: i, Of: of, Data: whole[i*pieceSize : min((i+1)*pieceSize, len(whole))]}
		if _, err := bus.Call[piece, nothing](context.Background(), g.Bus, subjectSeen, p); err != nil {
			return err
		}
	}
	return nil
}
