package routes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"trunkline/internal/freeport"
	"trunkline/internal/service"
	"trunkline/loadtest/clock"
	"trunkline/loadtest/target"
)

// scene is what runs.
type scene struct {
	*Run
	url         string // of the bus
	admin       string // the relay's
	nats, relay *target.Process
	sims        []*sim
	watchers    []*watcher
}

type section = map[string]any

const stopTime = 30 * time.Second

// start brings up nats-server, control, and the relay under test. Control makes
// the buckets and the keys, and ends: it would look for a million devices in its
// database.
func (r *Run) start(ctx context.Context) (*scene, error) {
	ports, err := freeport.Find(6)
	if err != nil {
		return nil, err
	}
	for i, p := range ports {
		ports[i] = "127.0.0.1:" + p
	}
	s := &scene{Run: r, url: "nats://" + ports[0], admin: ports[1]}
	conf := fmt.Sprintf("listen: %q\nhttp: %q\njetstream { store_dir: %q, max_memory_store: 8GB, max_file_store: 1MB }\nmax_payload: 64KB\nmax_pending: 64MB\n",
		ports[0], ports[2], s.path("nats"))
	if err := os.WriteFile(s.path("nats.conf"), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	s.nats = &target.Process{
		Name: "nats-server", Path: r.NATS, Args: []string{"-c", s.path("nats.conf")}, Log: s.path("nats.log"),
		Ready: func(ctx context.Context) error {
			return service.Answers(ctx, "http://"+ports[2]+"/healthz")
		},
	}
	control, err := s.process("control", ports[3], section{
		"data": s.path("control"), "listen": ports[4], "ca_dir": s.path("tls"), "first_admin": "routes@trunkline.local",
		"admin": ports[3], "bus": section{"url": s.url},
	})
	if err != nil {
		return nil, err
	}
	s.relay, err = s.process("relay", s.admin, section{
		"name": underTest, "listen": ports[5], "ca_dir": s.path("tls"), "admin": s.admin, "bus": section{"url": s.url},
	})
	if err != nil {
		return nil, err
	}
	for _, p := range []*target.Process{s.nats, control, s.relay} {
		if err == nil {
			err = p.Start(ctx)
		}
	}
	if err == nil {
		err = s.ready(ctx)
	}
	if err = errors.Join(err, control.Stop(stopTime)); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

const underTest = "relay-0"

func (s *scene) process(plane, admin string, config section) (*target.Process, error) {
	b, err := yaml.Marshal(config)
	if err != nil {
		return nil, err
	}
	file := s.path(plane + ".yaml")
	return &target.Process{
		Name: plane, Path: s.Trunkline, Args: []string{plane, "--config", file}, Log: s.path(plane + ".log"),
		Ready: func(ctx context.Context) error {
			return service.Answers(ctx, "http://"+admin+"/healthz")
		},
	}, os.WriteFile(file, b, 0o600)
}

func (s *scene) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *scene) close() error {
	var errs []error
	for _, sim := range s.sims {
		errs = append(errs, sim.bus.Close())
	}
	for _, w := range s.watchers {
		errs = append(errs, w.close())
	}
	s.relay.Kill() // there is nothing to drain
	s.nats.Kill()
	return errors.Join(errs...)
}

// restart kills the relay under test and starts it again.
func (s *scene) restart(ctx context.Context) error {
	s.relay.Kill()
	if err := s.relay.Start(ctx); err != nil {
		return err
	}
	return s.ready(ctx)
}

func (s *scene) ready(ctx context.Context) error {
	return await(ctx, func(ctx context.Context) error { return service.Ready(ctx, s.admin) })
}

const patience = time.Hour

// learned waits until the relay under test has all routes.
func (s *scene) learned(ctx context.Context) error {
	return await(ctx, func(ctx context.Context) error {
		n, err := target.Metric(ctx, "http://"+s.admin+"/metrics", "trunkline_relay_routes")
		if err == nil && int(n) != s.Routes {
			err = fmt.Errorf("the relay knows %.0f routes", n)
		}
		return err
	})
}

// await asks until there is no error, or it takes too long.
func await(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := clock.Again(ctx, patience, 20*time.Millisecond, func() error { return ask(ctx) }); err != nil {
		return fmt.Errorf("%w after %v", err, patience)
	}
	return nil
}
