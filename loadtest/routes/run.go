package routes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/loadtest/target"
)

// Run is one measurement.
type Run struct {
	Routes   int // in all
	Relays   int // that announce them
	Watchers int // whole tables in this process that must learn of a loss

	Trunkline string // programs
	NATS      string
	Dir       string // for configurations and logs
	Log       *zap.Logger
	Say       func(format string, args ...any)
}

// Row is what one step took.
type Row struct {
	Step   string
	Time   time.Duration
	CPU    time.Duration // of the process that Memory is of, during the step
	Memory int64         // bytes resident at its end
	Peak   int64         // and at most, since the process began
}

// step is one thing that is measured, by what a process uses for it.
type step struct {
	name string
	of   *target.Process
	do   func(context.Context) error
	anew bool // it is another process afterwards
}

// Do measures, and ends what it started.
func (r *Run) Do(ctx context.Context) (rows []Row, err error) {
	s, err := r.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, step := range s.steps() {
		r.Say("%s", step.name)
		row, err := step.measure(ctx)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", step.name, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (s *scene) steps() []step {
	return []step{
		{fmt.Sprintf("%d relays announce %d routes", s.Relays, s.Routes), s.nats, s.fill, false},
		{"a relay that watches has them all", s.relay, s.learned, false},
		{"it is killed and started, until it is ready", s.relay, s.restart, true},
		{"and until it has them all", s.relay, s.learned, false},
		{fmt.Sprintf("%d watchers have them all", s.Watchers), s.nats, s.watch, false},
		{fmt.Sprintf("one relay of %d is lost, its devices are at others, and all watchers know", s.Relays), s.nats, s.lose, false},
	}
}

func (p step) measure(ctx context.Context) (Row, error) {
	before, err := p.of.Use(ctx)
	if err != nil {
		return Row{}, err
	}
	began := time.Now()
	if err := p.do(ctx); err != nil {
		return Row{}, err
	}
	took := time.Since(began)
	now, err := p.of.Use(ctx)
	if p.anew {
		before.CPU = 0
	}
	return Row{p.name, took, now.CPU - before.CPU, now.Memory, now.Peak}, err
}

// open is one client of the nats-server.
func (s *scene) open(ctx context.Context) (*bus.Bus, error) {
	return bus.Open(ctx, bus.Config{URL: s.url}, s.Log.Named("bus"))
}
