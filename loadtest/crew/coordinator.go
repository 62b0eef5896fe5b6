package crew

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"trunkline/internal/bus"
	"trunkline/loadtest"
	"trunkline/loadtest/result"
)

// Coordinator has generators in other processes make the load.
type Coordinator struct {
	want  int
	stops []func() // of the bus's handlers

	mu      sync.Mutex
	order   *loadtest.Order // nil: not yet
	ca      string          // PEM
	began   time.Time       // zero: not yet
	end     bool            // at once
	members []*member
}

var _ loadtest.Crew = (*Coordinator)(nil)

// Coordinate answers on b, for a run of so many generators.
func Coordinate(b *bus.Bus, generators int) (*Coordinator, error) {
	c := &Coordinator{want: generators}
	var errs []error
	add := func(stop func(), err error) {
		if err == nil {
			c.stops = append(c.stops, stop)
		}
		errs = append(errs, err)
	}
	add(bus.Handle(b, subjectJoin, c.join))
	add(bus.Handle(b, subjectNext, c.next))
	add(bus.Handle(b, subjectSeen, c.keep))
	if err := errors.Join(errs...); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close answers no more.
func (c *Coordinator) Close() {
	for _, stop := range c.stops {
		stop()
	}
}

// Gather waits for the generators, gives each its part, and waits until all
// have brought it up.
func (c *Coordinator) Gather(ctx context.Context, o loadtest.Order) error {
	ca := ""
	if o.Target.CAFile != "" {
		b, err := os.ReadFile(o.Target.CAFile)
		if err != nil {
			return fmt.Errorf("ca: %w", err)
		}
		ca = string(b)
	}
	c.mu.Lock()
	c.order, c.ca = &o, ca
	c.mu.Unlock()
	err := c.await(ctx, c.allReadyLocked)
	if err != nil {
		c.dismiss()
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted when %d of %d generators had joined: %w", c.joined(), c.want, err)
	}
	return err
}

func (c *Coordinator) allReadyLocked() (bool, error) {
	ready := 0
	for _, m := range c.members {
		switch {
		case m.state == stateFailed:
			return false, fmt.Errorf("generator %s: %s", m.name, m.failed)
		case m.lost != "":
			return false, fmt.Errorf("generator %s: %s", m.name, m.lost)
		case m.state == stateReady:
			ready++
		}
	}
	return ready == c.want, nil
}

func (c *Coordinator) joined() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.members)
}

// dismiss has the generators end, and gives them the time to hear of it.
func (c *Coordinator) dismiss() {
	c.mu.Lock()
	c.end = true
	c.mu.Unlock()
	time.Sleep(4 * askEvery)
}

// await asks done, with the lock held, until it says yes or errs.
func (c *Coordinator) await(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(askEvery / 5)
	defer tick.Stop()
	for {
		c.mu.Lock()
		c.missLocked(time.Now())
		over, err := done()
		c.mu.Unlock()
		if over || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// missLocked marks the generators of which nothing is heard any more.
func (c *Coordinator) missLocked(now time.Time) {
	for _, m := range c.members {
		if m.lost != "" || m.over() || now.Sub(m.heard) <= silence {
			continue
		}
		m.lost = "nothing was heard of it any more"
		if !c.began.IsZero() {
			m.lost = fmt.Sprintf("nothing was heard of it after %.0f s", m.heard.Sub(c.began).Seconds())
		}
	}
}

// Start has the generators begin.
func (c *Coordinator) Start(began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began = began
}

// Watch waits until every generator has reported or is lost.
func (c *Coordinator) Watch(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end = true
	})()
	// It ends by itself, as who does not ask is lost; and it cannot err.
	_ = c.await(context.WithoutCancel(ctx), func() (bool, error) {
		for _, m := range c.members {
			if m.lost == "" && !m.over() {
				return false, nil
			}
		}
		return true, nil
	})
}

// Seen is how all generators stand together.
func (c *Coordinator) Seen() loadtest.Live {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := loadtest.Live{Running: !c.began.IsZero(), Kinds: make(map[string]result.Tally), InFlight: make(map[string]int64)}
	if sum.Running {
		sum.Elapsed = time.Since(c.began)
	}
	for _, m := range c.members {
		if m.lost != "" {
			sum.Lost = append(sum.Lost, m.name+": "+m.lost)
			continue
		}
		sum.Known, sum.Up = sum.Known+m.live.Known, sum.Up+m.live.Up
		for name, t := range m.live.Kinds {
			total := sum.Kinds[name]
			total.Add(t)
			sum.Kinds[name] = total
		}
		for name, n := range m.live.InFlight {
			sum.InFlight[name] += n
		}
	}
	return sum
}

// Results are what each generator has seen, under its name in this run, with
// what became of it.
func (c *Coordinator) Results() []*result.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*result.Result
	for i, m := range c.members {
		s, _ := c.order.Scenario.Share(i, c.want)
		g := result.Generator{Process: result.Process{Name: m.name}, Devices: s.Devices, Lost: m.lost}
		if m.state == stateFailed {
			g.Lost = m.failed
		}
		r := m.seen
		if r == nil {
			r = loadtest.NewResult(c.order.Scenario, c.order.Text, c.began)
		} else if len(r.Generators) == 1 {
			g.CPU, g.Memory = r.Generators[0].CPU, r.Generators[0].Memory
		}
		r.Generators = []result.Generator{g}
		out = append(out, r)
	}
	return out
}
