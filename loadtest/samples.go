package loadtest

import (
	"context"
	"sync"
	"time"

	"trunkline/loadtest/result"
	"trunkline/loadtest/target"
)

// self is the generator's own process among the samples.
const self = ""

// samples are what is looked at once in a step.
type samples struct {
	began time.Time
	step  time.Duration

	mu        sync.Mutex
	up        result.Series
	processes map[string]*used
}

type used struct {
	series result.Process
	last   target.Use
	at     time.Time // of last; zero: it does not run
}

func newSamples(began time.Time, step time.Duration) *samples {
	return &samples{began: began, step: step, processes: make(map[string]*used)}
}

// run calls look at the end of each step until ctx ends. Those before began are
// negative: they are looked at, for what is a difference of two.
func (s *samples) run(ctx context.Context, look func(s *samples, at int)) {
	at := -int(max(time.Until(s.began), 0) / s.step)
	for {
		t := time.NewTimer(time.Until(s.began.Add(time.Duration(at) * s.step)))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		look(s, at-1) // the step that has just ended
		at++
	}
}

func (s *samples) tunnels(at, up int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at >= 0 {
		s.up.Set(at, float64(up))
	}
}

func (s *samples) use(name string, at int, u target.Use) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.processes[name]
	if p == nil {
		p = new(used)
		s.processes[name] = p
	}
	now := time.Now()
	if at >= 0 {
		// Less than before: it is another process, which was started meanwhile.
		if !p.at.IsZero() && u.CPU >= p.last.CPU {
			p.series.CPU.Set(at, (u.CPU-p.last.CPU).Seconds()/now.Sub(p.at).Seconds())
		}
		p.series.Memory.Set(at, float64(u.Memory))
	}
	p.last, p.at = u, now
}

// gone says that a process cannot be asked any more.
func (s *samples) gone(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.processes[name]; p != nil {
		p.at = time.Time{}
	}
}

// running reports whether a process answered when it was asked last.
func (s *samples) running(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.processes[name]
	return p != nil && !p.at.IsZero()
}

func (s *samples) tunnelsSeen() result.Series {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(result.Series(nil), s.up...)
}

// process is what was seen of one, under a name for people.
func (s *samples) process(name, called string) result.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.processes[name]
	if p == nil {
		return result.Process{Name: called}
	}
	return result.Process{Name: called, CPU: append(result.Series(nil), p.series.CPU...), Memory: append(result.Series(nil), p.series.Memory...)}
}
