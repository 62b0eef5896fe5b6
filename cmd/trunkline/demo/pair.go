package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/pbxsim"
)

// pair is two simulated PBXs in hot standby.
type pair struct {
	*pbxsim.Pair
	primary, secondary pbx
}

const (
	primarySerial   = "3631A20C0051"
	secondarySerial = "3631A20C0052"
	pairSerials     = "3631A20C005" // what both begin with
	// settled is how long a pair may take to show its roles: an agent looks at
	// its facts every 2 s.
	settled = 30 * time.Second
)

func (d *demo) newPair(log *zap.Logger) (p *pair, err error) {
	dir, err := filepath.Abs(d.o.Data) // the agents demand it
	if err != nil {
		return nil, err
	}
	p = &pair{}
	for _, m := range []struct {
		to   *pbx
		sn   id.Serial
		name string
	}{{&p.primary, primarySerial, "agent-primary"}, {&p.secondary, secondarySerial, "agent-secondary"}} {
		facts := filepath.Join(dir, m.name+".json")
		if *m.to, err = d.newPBX(m.sn, "Harbour Hotel", m.name, facts, log); err != nil {
			return nil, err
		}
	}
	p.Pair, err = pbxsim.NewPair(p.primary.portal, p.secondary.portal)
	return p, err
}

// startPair connects the two and gives their site when the console shows which
// of them is active.
func (d *demo) startPair(ctx context.Context, g *errgroup.Group, email, password string) (id.Site, error) {
	for _, p := range []pbx{d.pair.primary, d.pair.secondary} {
		if err := p.connect(ctx, d, email, password); err != nil {
			return "", err
		}
		g.Go(func() error { return p.agent(d, "off", "127.0.0.1:0").run(ctx) })
	}
	active, err := d.waitActive(ctx, primarySerial)
	if err != nil {
		return "", err
	}
	d.step("hot-standby pair up", fmt.Sprintf("%s is active, %s stands by, on one connection", primarySerial, secondarySerial))
	return active.Site, nil
}

// waitActive waits until the console lists the pair, connected and sn of it as
// active.
func (d *demo) waitActive(ctx context.Context, sn id.Serial) (active controlapi.Device, err error) {
	ctx, cancel := context.WithTimeout(ctx, settled)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var page controlapi.Page[controlapi.Device]
		page, err = d.api.Devices(ctx, controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: pairSerials}})
		marks := map[string]int{}
		for _, dev := range page.Items {
			if dev.Status == controlapi.StatusConnected {
				marks[dev.Mark]++
			}
			if dev.Serial == sn && dev.Mark == controlapi.MarkActive {
				active = dev
			}
		}
		if active.Serial == sn && marks[controlapi.MarkActive] == 1 && marks[controlapi.MarkStandby] == 1 {
			return active, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return active, errors.Join(fmt.Errorf("the console does not show %s as active after %s; see %s", sn, settled, d.logDir()), err)
		}
	}
}

// swaps fails the pair over at each line that is typed.
func (d *demo) swaps(ctx context.Context) {
	if d.o.In == nil {
		return
	}
	lines := make(chan struct{})
	go func() { // as long as the process: reading a terminal cannot be ended
		in := bufio.NewReader(d.o.In)
		for {
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
			select {
			case lines <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for active, other := id.Serial(primarySerial), id.Serial(secondarySerial); ; active, other = other, active {
		select {
		case <-lines:
		case <-ctx.Done():
			return
		}
		if err := d.swap(ctx, active, other); err != nil {
			if ctx.Err() == nil {
				d.say("the roles did not swap: %v", err)
			}
			return
		}
	}
}

func (d *demo) swap(ctx context.Context, active, other id.Serial) error {
	began := time.Now()
	if err := d.pair.Failover(); err != nil {
		return err
	}
	if _, err := d.waitActive(ctx, other); err != nil {
		return err
	}
	d.step("roles swapped", fmt.Sprintf("%s is active, %s stands by; shown after %.1f s", other, active, time.Since(began).Seconds()))
	return nil
}
