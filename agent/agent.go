// Package agent is the program on, or beside, a PBX: it holds one tunnel to a
// relay of the provider's, for ever, and carries the streams that the relay
// opens to the PBX's own web portal on loopback.
//
//	identity.json, device.key <-- activate --> control
//	        |                                     ^
//	        v                                     | a new pass, the live relays
//	      passes --------------------------------'
//	        | pass, addresses
//	        v
//	      hold --dial--> relay --streams--> portal --TCP or TLS--> the PBX's web UI
//
// It listens to nobody but its own machine, decides nothing about who may
// visit, and what streams carry is bytes to it: the little of HTTP that it
// must know is coding's and login's. hold owns the tunnels,
// passes owns the pass and the identity, portal owns the connections to the
// PBX, and Agent waits for all of them.
//
// What the PBX's staff decide (settings.go) begins another life (life.go):
// whatever runs ends, and starts anew from what is on disk.
package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/agent/coding"
	"trunkline/agent/manage"
	"trunkline/agent/page"
	"trunkline/agent/standby"
	"trunkline/internal/service"
)

// Agent holds the tunnel of one PBX, once that is activated.
type Agent struct {
	cfg    Config
	dir    *dir
	log    *zap.Logger
	met    *metrics
	coder  *coding.Coder // nil: off
	passes *passes
	state  *tracker
	visits *visits
	page   *page.Page // nil: none
	pair   *standby.Source
	reach  func(Identity, ed25519.PrivateKey) (line, error)

	// The rest, up to wg, is of one life, and hold's alone.
	line   line
	portal *portal
	relays relays
	tried  string    // where the last attempt went
	old    []*held   // finish their streams beside the current one
	left   time.Time // when the last of them was left
	second *second

	wg sync.WaitGroup // of the tunnels

	activating sync.Mutex  // one at a time
	telling    atomic.Bool // the PBX of its account: one at a time too
	saying     sync.Mutex  // held while relays are told a status

	mu       sync.Mutex
	settings manage.Settings // as on disk
	damage   error           // why the identity on disk cannot be used
	unread   error           // why the settings there could not
	access   Access
	signIn   *signIn // of the present life, or of the configuration
	end      context.CancelCauseFunc
}

// New takes the data directory and wires; nothing runs yet. It errs with
// ErrBusy, or says what is wrong with which file. A PBX that is not activated,
// or whose identity is damaged, is no error: its agent waits to be told.
func New(c Config, log *zap.Logger, reg prometheus.Registerer) (*Agent, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d, err := openDir(c.Data)
	if err != nil {
		return nil, err
	}
	a := &Agent{cfg: c, dir: d, log: log, met: newMetrics(reg), second: newSecond()}
	if c.Portal.Compression {
		a.coder = coding.New(reg)
	}
	if err := a.wire(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return a, nil
}

func (a *Agent) wire() error {
	i, key, err := a.dir.whoAmI()
	if damaged(err) {
		a.damage = err
	} else if err != nil && !errors.Is(err, ErrNotActivated) {
		return err
	}
	if a.settings, err = a.dir.settings(); damaged(err) {
		a.unread = err
	} else if err != nil {
		return err
	}
	if a.cfg.Server != "" {
		i.Server = a.cfg.Server
	}
	// What would make every life fail is said now.
	if _, err := serverRoots(a.cfg.CAFile, ""); err != nil {
		return err
	}
	p, err := newPortal(a.cfg.Portal, a.cfg.dialer())
	if err != nil {
		return err
	}
	a.signIn = newSignIn(a.cfg.Portal.Login, p)
	a.passes = newPasses(i)
	a.passes.key, a.passes.log, a.passes.met = key, a.log, a.met
	a.passes.save, a.passes.fresh = a.dir.saveIdentity, a.newPass
	a.access = accessOf(a.settings)
	a.visits = newVisits(a.log.Named("visits"), func(d visitsOnDisk) error { return a.dir.writeJSON(visitsFile, d) })
	if d, err := a.dir.visits(); err != nil {
		a.log.Warn("past visits not read", zap.Error(err))
	} else {
		a.visits.restore(d)
	}
	last, err := a.dir.standby()
	if damaged(err) {
		a.log.Warn("the last hot-standby facts not read", zap.Error(err))
	} else if err != nil {
		return err
	}
	a.pair = standby.New(a.cfg.Standby, last, func(r standby.Record) error { return a.dir.writeJSON(standbyFile, r) }, a.log.Named("standby"))
	s, why := a.standing()
	a.state = newTracker(a.whoAmI, a.storeStatus, s, why)
	a.reach = a.lineOf
	return nil
}

// Run holds the tunnel until ctx ends, and then gives up the data directory.
func (a *Agent) Run(ctx context.Context) error {
	return errors.Join(a.run(ctx), a.dir.Close())
}

func (a *Agent) run(ctx context.Context) error {
	a.log.Info("agent starts", zap.String("data", a.dir.path), zap.String("version", service.Version))
	a.pair.Look(ctx) // before anything is said: silence would mean a single PBX
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() { a.pair.Run(ctx, a.sendStatus) })
	for ctx.Err() == nil {
		life, end := a.begin(ctx)
		a.live(life)
		end(nil)
	}
	a.visits.close()
	a.log.Info("agent stopped")
	return nil
}

// Close gives up the data directory of an Agent that never ran.
func (a *Agent) Close() error {
	a.visits.close()
	return a.dir.Close()
}

// Status is how the connection stands.
func (a *Agent) Status() Status { return a.state.snapshot() }

// Ready is nil while a tunnel is up.
func (a *Agent) Ready() error {
	if s := a.Status(); s.State != Connected {
		return fmt.Errorf("%s: %s", s.State, s.Reason)
	}
	return nil
}

// Alive errs if what every part of the agent asks is not free before ctx ends.
func (a *Agent) Alive(ctx context.Context) error {
	free := make(chan struct{})
	go func() { // one more for each check that hangs, until the process is ended for it
		defer close(free)
		a.Status()
		a.passes.identity()
	}()
	select {
	case <-free:
		return nil
	case <-ctx.Done():
		return errors.New("the status is not free")
	}
}

// StatusPage serves Status as JSON.
func (a *Agent) StatusPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// Who asked is gone if this fails.
	_ = json.NewEncoder(w).Encode(a.Status())
}

func (a *Agent) whoAmI() Status {
	i := a.passes.identity()
	return Status{
		Device: i.Device, Site: i.Site, Name: i.Name, Serial: i.Serial, Account: i.Account, Server: i.Server, Version: service.Version,
	}
}

func (a *Agent) storeStatus(s Status) {
	if err := a.dir.writeJSON(stateFile, s); err != nil {
		a.log.Warn("state not stored", zap.Error(err))
	}
}

// newPass hands a new pass to the relays that hold a tunnel of ours, and what came
// with it that they need to know: that another region is wished for.
func (a *Agent) newPass(pass string, moved bool) {
	a.state.serving(a.passes.identity().serving())
	send := func(h *held) {
		if err := h.link.SendPass(pass); err != nil {
			a.log.Debug("new pass not sent", zap.String("relay", string(h.relay)), zap.Error(err))
		}
	}
	for _, h := range a.state.tunnels() {
		send(h)
	}
	a.second.tell(send)
	if moved {
		a.sendStatus()
	}
	a.second.poke() // the wish for it may be another one
}
