package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/loadtest/clock"
)

const (
	standbyLook = 500 * time.Millisecond
	// look is how often a PBX is asked whether its tunnel is up, where somebody
	// waits for that.
	look = 50 * time.Millisecond
)

// PBX is one of the fleet.
type PBX struct {
	number  uint32
	content uint32 // whose bytes its portal serves: its own, or the pair's
	serial  id.Serial
	dir     string
	link    *link
	fleet   *Fleet
	peer    *PBX // nil: single
	active  bool // of a pair, as it began

	swapped atomic.Bool                 // the pair's roles are not as they were at first
	agent   atomic.Pointer[agent.Agent] // nil: not activated yet
	wg      sync.WaitGroup
}

// Content is the number in all bytes that its portal serves.
func (p *PBX) Content() uint32 { return p.content }

// Serial is what control knows it by.
func (p *PBX) Serial() id.Serial { return p.serial }

// Site is what its visitors visit; "" before it is activated.
func (p *PBX) Site() id.Site {
	if a := p.agent.Load(); a != nil {
		return a.Status().Site
	}
	return ""
}

// Relay is who holds the tunnel of whoever serves the site; "" if nobody does.
func (p *PBX) Relay() id.Relay {
	if p.peer != nil && p.swapped.Load() {
		p = p.peer
	}
	if a := p.agent.Load(); a != nil && a.Ready() == nil {
		return a.Status().Relay
	}
	return ""
}

// Standby reports whether it began as the pair's member that serves nobody.
func (p *PBX) Standby() bool { return p.peer != nil && !p.active }

// start makes the PBX known to control, as its staff would with the code that
// the provider gave them, and runs its agent until life ends.
func (p *PBX) start(ctx, life context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	if p.peer != nil {
		if err := p.say(p.active); err != nil {
			return err
		}
	}
	code, err := p.code(ctx)
	if err != nil {
		return fmt.Errorf("add device %s: %w", p.serial, err)
	}
	a, err := p.newAgent()
	if err != nil {
		return fmt.Errorf("agent of %s: %w", p.serial, err)
	}
	if err := p.connect(ctx, a, code); err != nil {
		_ = a.Close() // the other error is the one to hear of
		return fmt.Errorf("activate %s: %w", p.serial, err)
	}
	p.agent.Store(a)
	p.wg.Go(func() {
		if err := a.Run(life); err != nil {
			p.fleet.o.Log.Warn("agent ended", zap.String("serial", string(p.serial)), zap.Error(err))
		}
	})
	return nil
}

func (p *PBX) code(ctx context.Context) (string, error) {
	for {
		// Once: an answer that is lost must not make two devices.
		made, err := p.fleet.o.API.Once(string(p.serial)).AddDevice(ctx, controlapi.NewDevice{Name: string(p.serial)})
		if wait, again := tryLater(err); again && clock.Sleep(ctx, wait) {
			continue
		}
		return made.Code, err
	}
}

func (p *PBX) connect(ctx context.Context, a *agent.Agent, code string) error {
	o := p.fleet.o
	ca, err := agent.ReadCA(o.CAFile)
	if err != nil {
		return err
	}
	m := manage.Activation{
		ServerType: manage.CustomServer, Server: o.Server, CA: ca, Method: manage.ByCode, Code: code,
		Serial: p.serial, Model: model, Firmware: firmware,
	}
	for {
		err := a.Change(ctx, manage.Change{Connect: &m})
		if wait, again := tryLater(err); again && clock.Sleep(ctx, wait) {
			continue
		}
		return err
	}
}

func (p *PBX) up() bool {
	a := p.agent.Load()
	return a != nil && a.Ready() == nil
}

// Await waits until the tunnel is up.
func (p *PBX) Await(ctx context.Context) error {
	for !p.up() {
		if !clock.Sleep(ctx, look) {
			return fmt.Errorf("%s: %w", p.serial, ctx.Err())
		}
	}
	return nil
}

func (p *PBX) wait() { p.wg.Wait() }

// say writes the file in which a PBX tells its agent of the pair.
func (p *PBX) say(active bool) error {
	kind, role := "primary", "standby"
	if !p.active {
		kind = "secondary"
	}
	if active {
		role = "active"
	}
	path := filepath.Join(p.fleet.dir, fmt.Sprintf("%d.standby", p.number))
	text := fmt.Sprintf(`{"enabled": true, "type": %q, "role": %q, "peer": %q}`, kind, role, p.peer.serial)
	// In one step: a file that is half written is no word of the PBX's.
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Swap swaps the roles of the pair that p is of.
func (p *PBX) Swap() error {
	swapped := !p.swapped.Load()
	p.swapped.Store(swapped)
	p.peer.swapped.Store(swapped)
	return errors.Join(p.say(p.active != swapped), p.peer.say(p.peer.active != swapped))
}

// Drop cuts the PBX's connections off, as a router that restarts.
func (p *PBX) Drop() { p.link.drop() }

// Vanish makes the PBX silent, or lets it speak again: connections stay, and
// nothing passes, not even their end.
func (p *PBX) Vanish(silent bool) { p.link.silence(silent) }

// Strand breaks the PBX's connections at its own end only.
func (p *PBX) Strand() { p.link.strand() }
