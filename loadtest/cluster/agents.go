package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/visitor"
	"trunkline/loadtest/clock"
	"trunkline/loadtest/portal"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/target"
	"trunkline/loadtest/traffic"
)

// agents are PBXs whose agents are processes, and not in this one as the load's
// are: of another program, or with clocks of their own. They come to the relays
// through the balancer, as their visitors do.
type agents struct {
	s         *Scene
	portal    *portal.Portal
	processes []*target.Process
	devices   []id.Device
	stop      context.CancelFunc
	wg        sync.WaitGroup
}

// startAgents has n PBXs with that program connected. env is of each agent's, by
// its number.
func (s *Scene) startAgents(ctx context.Context, program string, n int, env func(int) []string) (*agents, error) {
	p, err := portal.New()
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	a := &agents{s: s, portal: p, stop: stop}
	failed := make(chan error, 1)
	a.wg.Go(func() { failed <- p.Run(life) })
	for i := range n {
		if err := a.start(ctx, program, i, env(i)); err != nil {
			return nil, errors.Join(err, a.close(ctx))
		}
	}
	select {
	case err := <-failed:
		return nil, errors.Join(err, a.close(ctx))
	default:
		return a, nil
	}
}

// start makes one PBX known to control, and waits until it is connected.
func (a *agents) start(ctx context.Context, program string, i int, env []string) error {
	s := a.s
	name := agentName(i) + "-" + strings.ToLower(rand.Text()[:6])
	made, err := s.API.AddDevice(ctx, controlapi.NewDevice{Name: name})
	if err != nil {
		return fmt.Errorf("add device %s: %w", name, err)
	}
	a.devices = append(a.devices, made.Device.ID)
	b, err := yaml.Marshal(section{
		"data": s.path(name), "admin": "off", "page": section{"listen": "off"}, "portal": section{"url": a.portal.URL()}, "log": section{"level": "info"},
	})
	if err != nil {
		return err
	}
	file := s.path(name + ".yaml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return err
	}
	connect := exec.CommandContext(ctx, program, "connect", "--config", file, "--server", s.Server, "--ca", s.CAFile, "--code", made.Code,
		"--sn", name, "--model", "P-Series Software Edition", "--firmware", "83.19.0.110")
	connect.Env = append(os.Environ(), env...)
	if out, err := connect.CombinedOutput(); err != nil {
		return fmt.Errorf("%s connect: %w: %s", program, err, out)
	}
	p := &target.Process{
		Name: name, Path: program, Args: []string{"run", "--config", file}, Env: env, Log: s.path(name + ".log"),
		Ready: func(ctx context.Context) error {
			d, err := s.API.Device(ctx, made.Device.ID)
			if err == nil && d.Status != controlapi.StatusConnected {
				err = fmt.Errorf("control says that it is %s", d.Status)
			}
			return err
		},
	}
	a.processes = append(a.processes, p)
	return p.Start(ctx)
}

// versions are those that the agents say they have.
func (a *agents) versions(ctx context.Context) (out []string, err error) {
	for _, d := range a.devices {
		said, err := a.s.API.Device(ctx, d)
		if err != nil {
			return nil, err
		}
		out = append(out, said.Agent)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// visited has each of the PBXs visited while something happens: no request may be
// lost, and every byte must be right.
func (a *agents) visited(ctx context.Context, happens func() error) error {
	at, err := portal.Number(netip.AddrFrom4([4]byte{127, 0, 0, 1})) // from where processes dial
	if err != nil {
		return err
	}
	var sites []traffic.Site
	for _, d := range a.devices {
		v, err := a.enter(ctx, d)
		if err != nil {
			return fmt.Errorf("visit %s: %w", d, err)
		}
		defer v.CloseIdleConnections()
		sites = append(sites, traffic.Site{Visitor: v, Content: at})
	}
	began := time.Now()
	recorder := result.NewRecorder(began, step)
	work := &traffic.Load{Sites: sites, Timeout: timeout, Meter: traffic.NewMeter(recorder, prometheus.NewRegistry()), Log: a.s.o.Log}
	kinds := slices.DeleteFunc(streams(len(sites), a.s.Scale.Download), func(t scenario.Traffic) bool { return t.Kind == scenario.Activate })
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var load sync.WaitGroup
	load.Go(func() { work.Run(loading, context.WithoutCancel(ctx), kinds, began.Add(time.Hour)) })
	clock.Sleep(ctx, lead)
	err = happens()
	stop()
	load.Wait()
	if err != nil {
		return err
	}
	var row Row
	row.count(recorder.Kinds())
	if row.lost() > 0 || row.Corrupted > 0 {
		return fmt.Errorf("of %d requests to PBXs whose agents are processes %d were lost (%s), and %d bytes were wrong", row.Due, row.lost(), codes(row.Lost), row.Corrupted)
	}
	said, err := a.versions(ctx)
	if err != nil {
		return err
	}
	a.s.fact("%d agents were processes, of version %v: of %d requests none was lost, no byte was wrong", len(a.devices), said, row.Due)
	return nil
}

// enter opens a visit; relays hear of a new tunnel a moment after control does.
func (a *agents) enter(ctx context.Context, d id.Device) (v *visitor.Visitor, err error) {
	err = clock.Again(ctx, startPatience, lookEvery, func() error {
		start, err := a.s.API.StartVisit(ctx, controlapi.VisitRequest{Device: d})
		if err != nil {
			return err
		}
		v, err = visitor.Enter(ctx, a.s.TLS, a.s.Server, start)
		return err
	})
	return v, err
}

// close ends the agents and takes their PBXs back.
func (a *agents) close(ctx context.Context) error {
	var errs []error
	for _, p := range a.processes {
		p.Kill()
	}
	for _, d := range a.devices {
		errs = append(errs, a.s.API.RemoveDevice(ctx, d))
	}
	a.stop()
	a.wg.Wait()
	return errors.Join(errs...)
}
