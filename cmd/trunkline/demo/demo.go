// Package demo is Trunkline to look at: control, relay and bus, a simulated
// PBX with its portal, a hot-standby pair of them, and each PBX's agent as a
// process of its own, all on loopback. With Split, control and relay are
// processes too, so that each can be killed and seen to come back.
package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/service"
)

// Options of a demo.
type Options struct {
	Data   string // kept between runs
	Listen string
	Agent  string // path of trunkline-agent; "": beside this program
	Split  bool
	Check  bool      // do the main job once, with no pair, and end
	In     io.Reader // each line swaps the roles of the pair
	Out    io.Writer
}

// The simulated PBX. Its passwords are no secret: it is a demo, on loopback.
const (
	serial   = "3631A20C0042"
	model    = "P-Series Software Edition"
	firmware = "83.19.0.110"

	superUser, superPassword = "super", "super-demo"
	adminUser, adminPassword = "remote", "remote-demo" // the account for remote access, until somebody sets another

	agentAdmin = "127.0.0.1:9703"
	agentPage  = "127.0.0.1:9700"
)

type demo struct {
	o      Options
	outMu  sync.Mutex
	single pbx
	pair   *pair // nil if it only checks
	planes planes
	api    *controlapi.Client
}

// planes is control and relay, however they run.
type planes interface {
	// run returns when ctx ends or a plane fails. up is called once both serve.
	run(ctx context.Context, up func()) error
	consoleURL() string
	caFile() string
	tls() *tls.Config
	login() (email, password string, err error)
}

// Run returns when ctx ends, or with Check when the job is done.
func Run(ctx context.Context, o Options) error {
	if err := os.MkdirAll(filepath.Join(o.Data, "log"), 0o700); err != nil {
		return err
	}
	d := &demo{o: o}
	var err error
	if d.o.Agent, err = findAgent(o.Agent); err != nil {
		return err
	}
	log, err := service.FileLogger("info", d.logFile("trunkline"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	if d.single, err = d.newPBX(serial, "Acme Ltd", "agent", "", log); err != nil {
		return err
	}
	if !o.Check {
		if d.pair, err = d.newPair(log); err != nil {
			return err
		}
	}
	if o.Split {
		d.planes, err = newSplit(ctx, d)
	} else {
		d.planes, err = newTogether(ctx, d, log)
	}
	if err != nil {
		return err
	}
	if d.api, err = controlapi.NewClient(d.planes.consoleURL(), &http.Client{Transport: controlapi.NewTransport(d.planes.tls())}); err != nil {
		return err
	}
	return d.run(ctx)
}

// run keeps an order at the end: the agent says goodbye, then the planes
// drain, then the PBX goes.
func (d *demo) run(ctx context.Context) error {
	pctx, stopPortal := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPortal()
	actx, stopAgent := context.WithCancel(ctx)
	defer stopAgent()
	var portal errgroup.Group
	for _, p := range d.pbxs() {
		portal.Go(func() error { return p.portal.Run(pctx) })
	}

	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, life := errgroup.WithContext(life)
	ready := make(chan struct{})
	g.Go(func() error { return d.planes.run(life, func() { close(ready) }) })
	g.Go(func() error {
		defer stop() // whatever ends the story ends the planes
		defer stopAgent()
		select {
		case <-ready:
		case <-ctx.Done():
			return nil
		case <-life.Done():
			return nil
		}
		defer context.AfterFunc(life, stopAgent)()
		return d.story(actx)
	})
	err := g.Wait()
	stopPortal()
	err = errors.Join(err, portal.Wait())
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	if err == nil {
		d.say("stopped")
	}
	return err
}

// story is what happens once the planes are up.
func (d *demo) story(ctx context.Context) error {
	d.step("control and relay up", d.planes.consoleURL())
	email, password, err := d.planes.login()
	if err != nil {
		return err
	}
	if err := d.single.connect(ctx, d, email, password); err != nil {
		return err
	}
	d.step("PBX activated by e-mail", email)
	g, gctx := errgroup.WithContext(ctx)
	actx, stopAgent := context.WithCancel(gctx)
	admin, page := agentAdmin, agentPage
	if d.beside() {
		admin, page = "off", "127.0.0.1:0"
	}
	g.Go(func() error { return d.single.agent(d, admin, page).run(actx) })
	g.Go(func() error {
		defer stopAgent()
		device, err := d.waitConnected(gctx, email, password)
		if err != nil {
			return err
		}
		d.step("tunnel up", "since "+device.Since.Format(time.TimeOnly)+" UTC at "+string(device.Relay))
		if d.o.Check {
			return d.check(gctx, device)
		}
		page, err := d.single.page(gctx, d)
		if err != nil {
			return err
		}
		site, err := d.startPair(actx, g, email, password)
		if err != nil {
			return err
		}
		d.banner(device, email, password, page, site)
		d.swaps(gctx)
		<-gctx.Done()
		return nil
	})
	return g.Wait()
}

// waitConnected watches the device list as staff do.
func (d *demo) waitConnected(ctx context.Context, email, password string) (controlapi.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	session, err := d.api.SignIn(ctx, email, password)
	if err != nil {
		return controlapi.Device{}, fmt.Errorf("sign in: %w", err)
	}
	d.api = d.api.WithToken(session.Token)
	d.step("signed in", email)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		page, err := d.api.Devices(ctx, controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: serial}})
		if err != nil {
			return controlapi.Device{}, fmt.Errorf("list devices: %w", err)
		}
		for _, dev := range page.Items {
			if dev.Serial == id.Serial(serial) && dev.Status == controlapi.StatusConnected {
				return dev, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return controlapi.Device{}, fmt.Errorf("the PBX did not connect within a minute; see %s", d.logFile("agent"))
		}
	}
}

// beside says to take ports that are free, beside whatever runs already.
func (d *demo) beside() bool { return d.o.Check || strings.HasSuffix(d.o.Listen, ":0") }

func (d *demo) logDir() string { return filepath.Join(d.o.Data, "log") }

func (d *demo) logFile(name string) string { return filepath.Join(d.logDir(), name+".log") }

func findAgent(path string) (string, error) {
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		path = filepath.Join(filepath.Dir(self), "trunkline-agent")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the agent's program is missing (%w); build it with: make build", err)
	}
	return path, nil
}
