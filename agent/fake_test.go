package agent_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

const passLife = 24 * time.Hour

var errAway = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

func identity() agent.Identity {
	return agent.Identity{
		Version: 1, Server: "https://console.example.com", Serial: "SN-0001", Device: "dev_0123456789abcdef", Site: "pbx-1",
		Name: "Front desk", Account: "ACME", Relays: []string{"r1.example.com:443", "r2.example.com:443"},
		Pass: agent.Pass{Token: "pass-0", Received: time.Now(), Life: passLife},
	}
}

func grant(pass string) controlapi.Grant {
	i := identity()
	return controlapi.Grant{
		Device: i.Device, Site: i.Site, Name: i.Name, Account: i.Account, Pass: pass,
		LifetimeSeconds: int64(passLife / time.Second), Relays: i.Relays,
	}
}

// world is the agent's, without a network: relays that a test plays, and a
// control that does as ask says.
type world struct {
	t         *testing.T
	agent     *agent.Agent
	data      string
	stop      func() // and wait
	dial      agent.DialForTest
	configure func(*agent.Config)
	ask       agent.AskForTest

	mu    sync.Mutex
	dials []dialled
	links []*fakeLink
	asked []time.Time
}

type dialled struct {
	at         time.Time
	addr, pass string
}

// newWorld has relays that take everybody and a control that gives passes.
// Change dial and ask before run.
func newWorld(t *testing.T) *world {
	w := &world{t: t, data: t.TempDir()}
	w.dial = func(context.Context, string, string) (agent.LinkForTest, error) { return w.link("r1"), nil }
	w.ask = func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error) {
		return grant("pass-n"), nil
	}
	return w
}

func (w *world) run(i agent.Identity) {
	w.t.Helper()
	agent.StoreForTest(w.t, w.data, i)
	w.start()
}

// start runs the agent on whatever is in its directory.
func (w *world) start() {
	w.t.Helper()
	c := agent.Default()
	c.Data = w.data
	if w.configure != nil {
		w.configure(&c)
	}
	a, err := agent.New(c, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		w.t.Fatal(err)
	}
	a.FakeForTest(
		func(ctx context.Context, addr, pass string) (agent.LinkForTest, error) {
			w.mu.Lock()
			w.dials = append(w.dials, dialled{time.Now(), addr, pass})
			dial := w.dial
			w.mu.Unlock()
			return dial(ctx, addr, pass)
		},
		func(ctx context.Context, q controlapi.RenewalRequest) (controlapi.Grant, error) {
			w.mu.Lock()
			w.asked = append(w.asked, time.Now())
			ask := w.ask
			w.mu.Unlock()
			return ask(ctx, q)
		})
	w.agent = a
	w.runService(a)
}

// runService runs an agent, or all of its service, until stop.
func (w *world) runService(a interface{ Run(context.Context) error }) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) link(relay id.Relay) *fakeLink {
	l := &fakeLink{
		welcome: tunnel.Welcome{Relay: relay, Tunnel: id.NewTunnel(), Ping: time.Second},
		ended:   make(chan error, 1), stop: make(chan struct{}), ready: make(chan struct{}), gone: make(chan struct{}),
	}
	w.mu.Lock()
	w.links = append(w.links, l)
	w.mu.Unlock()
	return l
}

// change changes what relays or control do from now on.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// attempts are the dials so far.
func (w *world) attempts() []dialled {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials
}

func (w *world) renewals() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

func (w *world) latest() *fakeLink {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.links) == 0 {
		w.t.Fatal("no tunnel yet")
	}
	return w.links[len(w.links)-1]
}

// open is how many tunnels there are.
func (w *world) open() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.links {
		select {
		case <-l.gone:
		default:
			n++
		}
	}
	return n
}

// opened is how many tunnels there have been.
func (w *world) opened() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.links)
}

func (w *world) wantState(want agent.State) agent.Status {
	w.t.Helper()
	s := w.agent.Status()
	if s.State != want {
		w.t.Fatalf("state %q (%s: %s), want %q", s.State, s.Code, s.Reason, want)
	}
	return s
}

// fakeLink is a tunnel that ends when the test, or the agent, says so.
type fakeLink struct {
	welcome  tunnel.Welcome
	ended    chan error
	ready    chan struct{} // closed when handlers is set
	handlers tunnel.AgentHandlers
	stop     chan struct{}
	gone     chan struct{} // closed when Run returned

	mu          sync.Mutex
	passes      []string
	statuses    []tunnel.Status
	visitsEnded []id.Visit
	stopped     time.Time
	why         fault.Code
	linger      time.Duration // streams go on for so long after Stop
	doubtful    bool
	doubts      int // told since it answered last
}

func (l *fakeLink) Doubtful() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubtful
}

func (l *fakeLink) Welcome() tunnel.Welcome { return l.welcome }

func (l *fakeLink) Run(ctx context.Context, h tunnel.AgentHandlers) error {
	l.handlers = h
	close(l.ready)
	defer close(l.gone)
	select {
	case err := <-l.ended:
		return err
	case <-ctx.Done():
	case <-l.stop:
	}
	return nil
}

func (l *fakeLink) SendStatus(s tunnel.Status) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses = append(l.statuses, s)
	return nil
}

func (l *fakeLink) SendPass(p string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passes = append(l.passes, p)
	return nil
}

func (l *fakeLink) EndVisit(v id.Visit) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.visitsEnded = append(l.visitsEnded, v)
	return nil
}

func (l *fakeLink) Leave(ctx context.Context, why *fault.Error) error {
	l.mu.Lock()
	l.stopped, l.why = time.Now(), why.Code
	linger := l.linger
	l.mu.Unlock()
	if linger > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(linger):
		}
	}
	close(l.stop)
	return ctx.Err()
}

func (l *fakeLink) end(code fault.Code) { l.ended <- fault.New(code, "as the test says") }

func (l *fakeLink) drain(d tunnel.Drain) {
	<-l.ready
	l.handlers.OnDrain(d)
}

func (l *fakeLink) home(to tunnel.Home) {
	<-l.ready
	l.handlers.OnHome(to)
}

// silent is a relay that does not answer.
func (l *fakeLink) silent() {
	<-l.ready
	times := 0
	l.change(func() { l.doubtful = true; l.doubts++; times = l.doubts })
	l.handlers.OnDoubt(times)
}

// answers is one that does again.
func (l *fakeLink) answers() { l.change(func() { l.doubtful, l.doubts = false, 0 }) }

func (l *fakeLink) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// reason is the goodbye's code.
func (l *fakeLink) reason() fault.Code {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

func (l *fakeLink) stoppedAt() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

func (l *fakeLink) sent() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passes
}

// said is the last status that the relay heard.
func (l *fakeLink) said() (s tunnel.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.statuses); n > 0 {
		s = l.statuses[n-1]
	}
	return s
}
