package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/visitor"
	"trunkline/loadtest/fleet"
	"trunkline/loadtest/portal"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/target"
	"trunkline/loadtest/traffic"
)

const (
	visitsAtOnce = 16
	// readyEvery is how often relays are asked whether they are ready, where a load
	// balancer is to be before them: they close their ports soon after they say no.
	readyEvery = 250 * time.Millisecond
	// cutTime is what operations that are under way have to end in when a run
	// is interrupted.
	cutTime = 3 * time.Second
)

// Generator makes load: a number of PBXs and the visitors of their sites.
type Generator struct {
	s      scenario.Scenario // its part of the whole
	text   string
	target *target.Target
	log    *zap.Logger
	reg    prometheus.Registerer

	portal  *portal.Portal
	fleet   *fleet.Fleet
	sites   []traffic.Site
	visited []*fleet.PBX    // by sites
	life    context.Context // of agents and portal
	stop    context.CancelFunc
	parts   sync.WaitGroup

	known  atomic.Int64 // PBXs that are activated
	events *events
	meter  atomic.Pointer[recording] // nil before Load
}

// recording is what a generator records, once it knows when that begins.
type recording struct {
	recorder *result.Recorder
	began    time.Time
	samples  *samples
	ended    atomic.Pointer[time.Time]
}

// Part is one generator's share of a scenario.
type Part struct {
	Scenario scenario.Scenario
	Text     string // of the whole
	First    int    // number of its first PBX
	Tag      string // fleet.NewTag
}

// NewGenerator makes the PBXs; nothing runs yet.
func NewGenerator(p Part, t *target.Target, log *zap.Logger, reg prometheus.Registerer) (*Generator, error) {
	if err := enoughFiles(p.Scenario); err != nil {
		return nil, err
	}
	g := &Generator{s: p.Scenario, text: p.Text, target: t, log: log, reg: reg, events: new(events)}
	var err error
	if g.portal, err = portal.New(); err != nil {
		return nil, err
	}
	g.fleet, err = fleet.New(fleet.Options{
		API: t.API, Server: t.Server, CAFile: t.CAFile, Portal: g.portal.Addr(), Tag: p.Tag, First: p.First,
		Count: g.s.Devices, Pairs: g.s.Pairs, Lines: g.s.Lines, Dial: t.Ways.Tunnel(), Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, g.portal.Close())
	}
	g.life, g.stop = context.WithCancel(context.Background())
	g.parts.Go(func() {
		if err := g.portal.Run(g.life); err != nil {
			log.Error("portal", zap.Error(err))
		}
	})
	if g.s.Entry == scenario.Any {
		b := t.Ways.Balancer(readyEvery)
		t.Ways.Balance = b.Dial
		g.parts.Go(func() { b.Run(g.life) })
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "trunkline_loadtest_tunnels", Help: "Simulated PBXs whose tunnel is up.",
	}, func() float64 { return float64(g.fleet.Up()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "trunkline_loadtest_devices", Help: "Simulated PBXs that are activated.",
	}, func() float64 { return float64(g.known.Load()) }))
	return g, nil
}

// Bring activates the PBXs, waits for their tunnels, and opens the visits.
func (g *Generator) Bring(ctx context.Context) error {
	if err := g.fleet.Bring(ctx, g.life, g.s.ConnectRate, func() { g.known.Add(1) }); err != nil {
		return err
	}
	late, cancel := context.WithTimeout(ctx, tunnelTime)
	defer cancel()
	var open []*fleet.PBX
	for _, p := range g.fleet.PBXs() {
		if err := p.Await(late); err != nil {
			return fmt.Errorf("%d of %d tunnels are up after %v: %w", g.fleet.Up(), g.s.Devices, tunnelTime, err)
		}
		if !p.Standby() {
			open = append(open, p)
		}
	}
	g.visited = open[:min(g.s.Visits, len(open))]
	return g.Visit(ctx)
}

// tunnelTime is what tunnels have to come up in after the last activation.
const tunnelTime = 3 * time.Minute

// Visit opens a visit to each PBX that is visited. Bring has done so; who goes on
// for long does it again, before the first ones end as idle: people operate a
// portal at another pace.
func (g *Generator) Visit(ctx context.Context) error {
	g.leave()
	g.sites = make([]traffic.Site, len(g.visited))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(visitsAtOnce)
	for i, p := range g.visited {
		group.Go(func() error {
			v, _, err := g.Enter(ctx, p)
			if err != nil {
				return fmt.Errorf("visit: %w", err)
			}
			g.sites[i] = traffic.Site{Visitor: v, Content: p.Content()}
			return nil
		})
	}
	return group.Wait()
}

// Enter opens a visit as the console's page does. Control hears of a tunnel a
// moment after the agent does, and relays of the route.
func (g *Generator) Enter(ctx context.Context, p *fleet.PBX) (*visitor.Visitor, id.Visit, error) {
	ctx, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	for {
		v, visit, err := g.tryEnter(ctx, p)
		if err == nil {
			return v, visit, nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, "", err
		}
	}
}

const visitTime = 30 * time.Second

func (g *Generator) tryEnter(ctx context.Context, p *fleet.PBX) (*visitor.Visitor, id.Visit, error) {
	start, err := g.target.API.StartVisit(ctx, controlapi.VisitRequest{Site: p.Site()})
	if err != nil {
		return nil, "", err
	}
	u, err := url.Parse(start.URL)
	if err != nil {
		return nil, "", err
	}
	v, err := visitor.New(g.target.TLS, u.Scheme+"://"+u.Host)
	if err != nil {
		return nil, "", err
	}
	v.Transport = newNear(g.target, p, v.Transport.(*http.Transport))
	resp, err := v.Redeem(ctx, g.target.Server, start.URL, start.Handover)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		return nil, "", fmt.Errorf("the relay does not take the handover: %s", resp.Status)
	}
	return v, start.Visit.ID, nil
}

// Sites are those that are visited, after Bring.
func (g *Generator) Sites() []traffic.Site { return g.sites }

// PBXs are the simulated ones.
func (g *Generator) PBXs() []*fleet.PBX { return g.fleet.PBXs() }

// Activate brings up one PBX more, with its tunnel.
func (g *Generator) Activate(ctx context.Context) error {
	err := g.fleet.Another(ctx, g.life)
	if err == nil {
		g.known.Add(1)
	}
	return err
}

// Load makes the load: what is due after began counts, what is due before is
// the warm-up. It returns when all has been answered, or soon after ctx ended.
func (g *Generator) Load(ctx context.Context, began time.Time) {
	end := began.Add(g.s.Duration)
	step := result.StepFor(g.s.Duration)
	m := &recording{recorder: result.NewRecorder(began, step), began: began, samples: newSamples(began, step)}
	load := &traffic.Load{
		Sites: g.sites, Timeout: g.s.Timeout, Meter: traffic.NewMeter(m.recorder, g.reg), Log: g.log,
		Activate: g.Activate,
	}
	g.meter.Store(m)
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(cutTime, cancel) })()

	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { m.samples.run(watching, g.sample) })
	beside.Go(func() { g.disturb(ctx, began) })
	load.Run(ctx, hard, g.s.Traffic, end)
	now := time.Now()
	if now.After(end) {
		now = end
	}
	m.ended.Store(&now)
	stop()
	beside.Wait()
}

func (g *Generator) sample(s *samples, at int) {
	s.tunnels(at, g.fleet.Up())
	if u, err := target.UseOf(os.Getpid()); err == nil {
		s.use(self, at, u)
	}
}

// Up is how many tunnels are up, of how many PBXs that are activated.
func (g *Generator) Up() (up, known int) { return g.fleet.Up(), int(g.known.Load()) }

// Result is what has been seen until now; nil before Load.
func (g *Generator) Result() *result.Result {
	m := g.meter.Load()
	if m == nil {
		return nil
	}
	r := NewResult(g.s, g.text, m.began)
	if e := m.ended.Load(); e != nil {
		r.Ended = *e
	} else {
		r.Ended = time.Now()
	}
	if r.Ended.Before(r.Began) {
		r.Ended = r.Began
	}
	r.Kinds = m.recorder.Kinds()
	r.Tunnels = m.samples.tunnelsSeen()
	r.Generators = []result.Generator{{Process: m.samples.process(self, hostName()), Devices: g.s.Devices}}
	r.Events = g.events.all()
	return r
}

// leave closes the visitors' connections.
func (g *Generator) leave() {
	for _, s := range g.sites {
		if s.Visitor != nil {
			s.CloseIdleConnections()
		}
	}
}

// Close ends the visitors and the agents.
func (g *Generator) Close() error {
	g.leave()
	g.stop()
	g.parts.Wait()
	return g.fleet.Close()
}
