// Package fleet is the simulated PBXs of a load test: the real agent, many in
// one process, each with its own key, directory, line and loopback address,
// before one portal.
package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"trunkline/agent"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/loadtest/clock"
	"trunkline/loadtest/portal"
	"trunkline/loadtest/scenario"
)

// The PBX that every device pretends to be.
const (
	model    = "P-Series Software Edition"
	firmware = "83.19.0.110"
)

const (
	// atOnce bounds what is asked of control at the same time.
	atOnce = 16
	// setupTime bounds what it takes until one PBX is known to control.
	setupTime = 2 * time.Minute
	// MaxPart bounds the PBXs of one generator, by their addresses.
	MaxPart = scenario.MaxDevices
)

// Options say what the PBXs are and to whom they belong.
type Options struct {
	API    *controlapi.Client // of the account that takes them
	Server string             // the console's URL
	CAFile string             // PEM; "": the system's roots
	Portal string             // host:port of the web server behind all of them
	Tag    string             // see NewTag
	First  int                // number of the first of them, of all generators' together
	Count  int
	Pairs  int // of them
	Lines  []scenario.Line
	// Dial reaches the relays, as agents are told of them.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Log  *zap.Logger
}

// Fleet is the PBXs. Its owner calls Activate, Run, and Close at the end.
type Fleet struct {
	o   Options
	dir string

	mu   sync.Mutex
	pbxs []*PBX // in the order of their numbers
}

// NewTag is what the serial numbers of a run begin with: its own, so that it
// never touches a device that was there before.
func NewTag() string { return "LOADTEST-" + rand.Text()[:6] + "-" }

// New makes a directory for them; nothing runs yet.
func New(o Options) (*Fleet, error) {
	dir, err := os.MkdirTemp(scratch(), "trunkline-loadtest-")
	if err != nil {
		return nil, fmt.Errorf("directory for the PBXs: %w", err)
	}
	f := &Fleet{o: o, dir: dir}
	for i := range o.Count {
		f.pbxs = append(f.pbxs, f.newPBX(i))
	}
	for i := range o.Pairs {
		one, two := f.pbxs[2*i], f.pbxs[2*i+1]
		one.peer, two.peer = two, one
		two.content = one.content // the bytes are the site's, whoever serves it
		one.active = true
	}
	return f, nil
}

// scratch is memory where there is such a place: thousands of agents that store
// what they are at once say more about a disk than about tunnels.
func scratch() string {
	const shm = "/dev/shm"
	if i, err := os.Stat(shm); err == nil && i.IsDir() && os.Getenv("TMPDIR") == "" {
		return shm
	}
	return ""
}

func (f *Fleet) newPBX(i int) *PBX {
	n := f.o.First + i
	return &PBX{
		number: uint32(n), content: uint32(n), serial: id.Serial(fmt.Sprintf("%s%06d", f.o.Tag, n)),
		dir: filepath.Join(f.dir, strconv.Itoa(n)), link: newLink(f.line(i), uint64(n)), fleet: f,
	}
}

// line is the one of PBX i: they are dealt so that any part of the PBXs has
// about the lines' shares.
func (f *Fleet) line(i int) *scenario.Line {
	at := float64(i*7919%1000) / 1000
	for k := range f.o.Lines {
		if at -= f.o.Lines[k].Share; at < 0 {
			return &f.o.Lines[k]
		}
	}
	if len(f.o.Lines) > 0 {
		return &f.o.Lines[len(f.o.Lines)-1]
	}
	return nil
}

// Bring activates all PBXs and runs their agents, perSecond of them each second
// (0: as fast as control takes them), until life ends. up is called whenever one
// more was activated. It returns when all are activated, with the first refusal.
func (f *Fleet) Bring(ctx, life context.Context, perSecond float64, up func()) error {
	limit := rate.NewLimiter(rate.Inf, 1)
	if perSecond > 0 {
		limit.SetLimit(rate.Limit(perSecond))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, p := range f.all() {
		g.Go(func() error {
			if err := limit.Wait(ctx); err != nil {
				return err
			}
			if err := p.start(ctx, life); err != nil {
				return err
			}
			up()
			return nil
		})
	}
	return g.Wait()
}

// Another makes and starts one PBX more, and waits for its tunnel.
func (f *Fleet) Another(ctx, life context.Context) error {
	f.mu.Lock()
	p := f.newPBX(len(f.pbxs))
	if len(f.pbxs) >= MaxPart {
		f.mu.Unlock()
		return fmt.Errorf("more than %d PBXs", MaxPart)
	}
	f.pbxs = append(f.pbxs, p)
	f.mu.Unlock()
	if err := p.start(ctx, life); err != nil {
		return err
	}
	return p.Await(ctx)
}

func (f *Fleet) all() []*PBX {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*PBX(nil), f.pbxs...)
}

// PBXs are those that there are from the beginning.
func (f *Fleet) PBXs() []*PBX { return f.all()[:f.o.Count] }

// Up is how many tunnels are up.
func (f *Fleet) Up() (n int) {
	for _, p := range f.all() {
		if p.up() {
			n++
		}
	}
	return n
}

// Close waits for the agents, whose life is over.
func (f *Fleet) Close() error {
	for _, p := range f.all() {
		p.wait()
	}
	return os.RemoveAll(f.dir)
}

// Remove takes the devices of a run out of the account, so that they hold no
// connection of its licence. It asks control which there are: the answer to an
// activation may have been lost, and a generator may have been killed.
func Remove(ctx context.Context, api *controlapi.Client, tag string) error {
	q := controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: tag}}
	q.Limit = 200
	for {
		page, err := api.Devices(ctx, q)
		if err == nil && len(page.Items) == 0 {
			return nil
		}
		if err == nil {
			var ids []id.Device
			for _, d := range page.Items {
				ids = append(ids, d.ID)
			}
			_, err = api.RemoveDevices(ctx, ids)
		}
		if wait, again := tryLater(err); again && clock.Sleep(ctx, wait) {
			continue
		}
		if err != nil {
			return fmt.Errorf("devices that begin with %s are still there: %w", tag, err)
		}
	}
}

// tryLater is how long to wait where control has too much to do, or is away, or
// has not answered: asking the same again makes nothing twice.
func tryLater(err error) (time.Duration, bool) {
	var f *fault.Error
	if err == nil {
		return 0, false
	}
	if !errors.As(err, &f) {
		return time.Second, true
	}
	switch f.Code {
	case fault.TooMany, fault.Unavailable, fault.InProgress:
		return max(f.Retry, time.Second), true
	}
	return 0, false
}

// dial goes out from the PBX's own address, to the portal, and over its line
// to relays.
func (p *PBX) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr == p.fleet.o.Portal {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(portal.From(p.content))}
		return d.DialContext(ctx, network, addr)
	}
	if err := p.link.open(ctx); err != nil {
		return nil, err
	}
	c, err := p.fleet.o.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return p.link.carry(c), nil
}

func (p *PBX) config() agent.Config {
	c := agent.Default()
	c.Data, c.Admin, c.Page.Listen, c.Dial = p.dir, agent.AdminOff, agent.PageOff, p.dial
	c.Portal.URL = "http://" + p.fleet.o.Portal
	if p.peer != nil {
		c.Standby.File, c.Standby.Every = filepath.Join(p.fleet.dir, fmt.Sprintf("%d.standby", p.number)), standbyLook
	}
	return c
}

func (p *PBX) newAgent() (*agent.Agent, error) {
	return agent.New(p.config(), p.fleet.o.Log, prometheus.NewRegistry())
}
