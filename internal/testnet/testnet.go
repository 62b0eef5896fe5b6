// Package testnet is a whole world for a test, in one process and on free
// ports: an installation as `trunkline up` runs it, a simulated PBX or any
// other web server behind an agent, and visitors. Everything is real but the
// PBX; everything is gone when the test ends.
package testnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/cmd/trunkline/up"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/pbxsim"
	"trunkline/relay"
)

// Patience is how long a test waits for what must happen; nothing that passes
// takes as long.
const Patience = 30 * time.Second

// The portal's accounts.
const (
	SuperUser, SuperPassword = "super", "super-pass"
	AdminUser, AdminPassword = "remote", "remote-pass"
)

// The PBX that activates.
const (
	Model    = "P-Series Software Edition"
	Firmware = "83.19.0.110"
)

// World is an installation and who signs in to it.
type World struct {
	T   testing.TB
	Up  *up.Up
	TLS *tls.Config // trusts the installation's CA
	API *controlapi.Client
	Log *zap.Logger

	Data string // the installation's directory

	email, password string
}

// Start runs an installation until the test ends. configure may be nil.
func Start(t testing.TB, configure func(*up.Config)) *World {
	t.Helper()
	return StartLogged(t, logger(t), configure)
}

// StartLogged is Start for a test that reads what is logged, by all parts.
func StartLogged(t testing.TB, log *zap.Logger, configure func(*up.Config)) *World {
	t.Helper()
	w := &World{T: t, Log: log}
	cfg := up.Default()
	cfg.Data, cfg.Listen = t.TempDir(), "127.0.0.1:0"
	cfg.Control.Admin, cfg.Relay.Admin = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Relay.Drain = relay.Drain{Deadline: time.Second}
	if configure != nil {
		configure(&cfg)
	}
	if cfg.Control.Database == "" {
		storetest.File(t, filepath.Join(cfg.Data, store.FileName))
	}
	var err error
	w.Data = cfg.Data
	if w.Up, err = up.New(t.Context(), cfg, w.Log); err != nil {
		t.Fatal(err)
	}
	Go(t, "installation", func(ctx context.Context) error { return w.Up.Run(ctx) })
	w.TLS = &tls.Config{RootCAs: w.Up.CA().Pool()}
	w.Eventually("control and relay ready", func() error {
		return errors.Join(w.Up.Control.Ready(), w.Up.Relay.Ready())
	})
	w.email = w.Up.AdminEmail()
	if w.password, err = w.Up.AdminPassword(); err != nil {
		t.Fatal(err)
	}
	w.API = w.SignIn(w.email, w.password)
	return w
}

// logger writes to the test's log, and stops doing so when the test is over: a
// last line of a background goroutine must not fail it.
func logger(t testing.TB) *zap.Logger {
	return zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
}

// Go runs a part until the test ends, and waits for it.
func Go(t testing.TB, name string, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(Patience):
				t.Errorf("%s did not stop", name)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// Login is the first owner's e-mail and password.
func (w *World) Login() (email, password string) { return w.email, w.password }

// Client is the API's client without a session.
func (w *World) Client() *controlapi.Client {
	w.T.Helper()
	c, err := controlapi.NewClient(w.Up.ConsoleURL(), &http.Client{Transport: w.transport()})
	if err != nil {
		w.T.Fatal(err)
	}
	return c
}

func (w *World) transport() *http.Transport {
	t := controlapi.NewTransport(w.TLS)
	w.T.Cleanup(t.CloseIdleConnections)
	return t
}

// SignIn is a client with a session of its own.
func (w *World) SignIn(email, password string) *controlapi.Client {
	w.T.Helper()
	c := w.Client()
	s, err := c.SignIn(w.T.Context(), email, password)
	if err != nil {
		w.T.Fatal(err)
	}
	return c.WithToken(s.Token)
}

// Eventually polls until ok is nil. What takes longer than Patience fails.
func (w *World) Eventually(what string, ok func() error) {
	w.T.Helper()
	Eventually(w.T, what, ok)
}

// Eventually polls until ok is nil. What takes longer than Patience fails.
func Eventually(t testing.TB, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Portal starts a simulated PBX's portal.
func (w *World) Portal(configure func(*pbxsim.Config)) *pbxsim.Portal {
	w.T.Helper()
	cfg := pbxsim.Config{
		Listen: "127.0.0.1:0", Serial: "3631A20C0042", Model: Model, Firmware: Firmware, Name: "Acme Ltd",
		SuperAdmin: SuperUser, SuperPassword: SuperPassword, Admin: AdminUser, AdminPassword: AdminPassword,
	}
	if configure != nil {
		configure(&cfg)
	}
	p, err := pbxsim.New(cfg, w.Log)
	if err != nil {
		w.T.Fatal(err)
	}
	Go(w.T, "portal", p.Run)
	return p
}

// PBX is a device with its agent.
type PBX struct {
	Serial id.Serial
	Device id.Device
	Site   id.Site
	Data   string      // the agent's directory
	Page   string      // URL of its Remote Management page, while it runs
	Stop   func()      // stops the agent, as SIGTERM would
	Desk   manage.Desk // Remote Management at the agent that runs

	world *World
	cfg   agent.Config
}

// Activate makes a PBX known, by e-mail; its agent does not run yet.
func (w *World) Activate(serial id.Serial, portal string) *PBX {
	w.T.Helper()
	p, err := w.activate(agent.Activation{Email: w.email, Password: w.password, Serial: serial, Portal: portal})
	if err != nil {
		w.T.Fatal(err)
	}
	return p
}

// ActivateByCode is Activate by an authentication code, and may be refused.
func (w *World) ActivateByCode(code string, serial id.Serial, portal string) (*PBX, error) {
	w.T.Helper()
	return w.activate(agent.Activation{Code: code, Serial: serial, Portal: portal})
}

func (w *World) activate(q agent.Activation) (*PBX, error) {
	w.T.Helper()
	q.Data, q.Server, q.CAFile, q.Model, q.Firmware = filepath.Join(w.T.TempDir(), "agent"), w.Up.ConsoleURL(), w.Up.CA().File(), Model, Firmware
	i, err := agent.Activate(w.T.Context(), q, w.Log)
	if err != nil {
		return nil, err
	}
	cfg := agent.Default()
	cfg.Data, cfg.Admin, cfg.SecondWithin = q.Data, agent.AdminOff, 1 // at once: nobody else seeks one
	if q.Standby.File != "" {
		cfg.Standby = q.Standby
	}
	return &PBX{Serial: q.Serial, Device: i.Device, Site: i.Site, Data: q.Data, world: w, cfg: cfg}, nil
}

// Unbox is a PBX that nobody has activated: its page will do that. Its agent
// does not run yet.
func (w *World) Unbox(serial id.Serial, portal string) *PBX {
	w.T.Helper()
	cfg := agent.Default()
	cfg.Data, cfg.Admin, cfg.Portal.URL = filepath.Join(w.T.TempDir(), "agent"), agent.AdminOff, portal
	cfg.Device = agent.Device{Serial: serial, Model: Model, Firmware: Firmware}
	return &PBX{Serial: serial, Data: cfg.Data, world: w, cfg: cfg}
}

// Connect activates a PBX, runs its agent, and waits until the tunnel is up.
func (w *World) Connect(serial id.Serial, portal string) *PBX {
	w.T.Helper()
	p := w.Activate(serial, portal)
	p.Run()
	p.AwaitStatus(controlapi.StatusConnected)
	return p
}

// Run starts the PBX's agent.
func (p *PBX) Run() {
	p.world.T.Helper()
	p.cfg.Page.Listen = "127.0.0.1:0"
	a, err := agent.NewService(p.cfg, p.world.Log, prometheus.NewRegistry())
	if err != nil {
		p.world.T.Fatal(err)
	}
	p.Page = a.PageURL()
	p.Desk = a
	p.Stop = Go(p.world.T, fmt.Sprintf("agent of %s", p.Serial), a.Run)
}

// Configure changes the configuration of an agent that does not run yet.
func (p *PBX) Configure(f func(*agent.Config)) { f(&p.cfg) }

// AwaitStatus waits until staff see the PBX so.
func (p *PBX) AwaitStatus(status string) controlapi.Device {
	p.world.T.Helper()
	var d controlapi.Device
	p.world.Eventually("PBX is "+status, func() (err error) {
		if d, err = p.world.API.Device(p.world.T.Context(), p.Device); err == nil && d.Status != status {
			err = fmt.Errorf("it is %s (%s)", d.Status, d.Reason)
		}
		return err
	})
	return d
}
