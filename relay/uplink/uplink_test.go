package uplink_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/selfca"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
	"trunkline/relay/uplink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// world is an Uplink behind a real TLS listener. A pass is a device's id.
type world struct {
	*uplink.Uplink
	t      *testing.T
	reg    *prometheus.Registry
	addr   string
	client *tls.Config
	ctx    context.Context

	serving atomic.Int64 // calls of Serve
	alone   atomic.Bool  // there is no other relay

	mu     sync.Mutex
	routes map[id.Device]bus.Route
	issued time.Time
	left   []id.Device
	wishes []string // visits that a device's staff want ended

	visits []tunnel.Visit // going on when a tunnel arrives

	admitted func(id.Device) // called just after the door
	revoked  map[id.Device]*fault.Error
}

func newWorld(t *testing.T, configure func(*uplink.Config)) *world {
	ca, err := selfca.Open(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, reg: prometheus.NewRegistry(), routes: make(map[id.Device]bus.Route), issued: time.Now()}
	cfg := uplink.Default()
	if configure != nil {
		configure(&cfg)
	}
	w.Uplink = uplink.New(uplink.Options{
		Config: cfg, Relay: "relay-1", Log: zaptest.NewLogger(t), Registerer: w.reg,
		Admit: func(pass string, _, _ []byte) (token.Pass, error) {
			var d id.Device
			if err := d.UnmarshalText([]byte(pass)); err != nil {
				return token.Pass{}, fault.New(fault.PassInvalid, "no device")
			}
			if w.admitted != nil {
				defer w.admitted(d)
			}
			return token.Pass{Device: d, Site: "pbx-1", Issued: w.issued}, nil
		},
		Revoked: func(d id.Device, _ time.Time) *fault.Error {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.revoked[d]
		},
		Refresh: func(pass string, _ id.Device) (token.Pass, error) {
			return token.Pass{Issued: time.Now().Add(time.Hour), Key: ed25519.PublicKey(pass)}, nil
		},
		Announce: func(r bus.Route) { w.mu.Lock(); defer w.mu.Unlock(); w.routes[r.Device] = r },
		Announced: func(d id.Device) (bus.Route, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			r, ok := w.routes[d]
			return r, ok
		},
		Withdraw: func(d id.Device) { w.mu.Lock(); defer w.mu.Unlock(); delete(w.routes, d) },
		Leaving:  func(d id.Device) { w.mu.Lock(); defer w.mu.Unlock(); w.left = append(w.left, d) },
		Region:   here,
		Elsewhere: func(d id.Device, region string) []string {
			if w.alone.Load() {
				return nil
			}
			if region != "" {
				return []string{string(d) + "." + region + ".example.com:8443"}
			}
			return []string{string(d) + ".example.com:8443"}
		},
		Arrived: func(d id.Device) {
			for _, v := range w.visits {
				w.VisitStarted(d, v)
			}
		},
		EndVisit: func(d id.Device, v id.Visit) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wishes = append(w.wishes, string(d)+" "+string(v))
		},
	})
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		GetCertificate: ca.Certificate, NextProtos: []string{tunnel.ALPN}, MinVersion: tls.VersionTLS13,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	w.client = &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{tunnel.ALPN}}
	var stop context.CancelFunc
	w.ctx, stop = context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Run(w.ctx) })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Add(1)
			w.serving.Add(1)
			go func() {
				defer w.serving.Add(-1)
				w.Serve(w.ctx, c.(*tls.Conn), wg.Done)
			}()
		}
	})
	t.Cleanup(func() { ln.Close(); stop(); wg.Wait() })
	return w
}

// agent is one tunnel's far end.
type agent struct {
	*tunnel.Agent
	ended chan error
	drain chan tunnel.Drain
	home  chan tunnel.Home
	heard chan string // of visits
	renew chan time.Duration
}

func (w *world) dial(d id.Device) (*agent, error) {
	w.t.Helper()
	return w.dialAs(d, tunnel.Dial)
}

type helloFunc func(context.Context, *tls.Conn, tunnel.Config, string, ed25519.PrivateKey, tunnel.AgentInfo) (*tunnel.Agent, error)

func (w *world) dialAs(d id.Device, hello helloFunc) (*agent, error) {
	w.t.Helper()
	raw, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := hello(w.ctx, tls.Client(raw, w.client), tunnel.Config{}, string(d), key, tunnel.AgentInfo{Version: "test"})
	if err != nil {
		return nil, err
	}
	out := &agent{Agent: a, ended: make(chan error, 1), drain: make(chan tunnel.Drain, 1), home: make(chan tunnel.Home, 1), heard: make(chan string, 100), renew: make(chan time.Duration, 1)}
	ctx, stop := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		out.ended <- a.Run(ctx, tunnel.AgentHandlers{
			OnStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
				defer c.Close()
				if tunnel.AcceptStream(c) == nil {
					b := make([]byte, 1)
					_, _ = c.Read(b) // holds the stream until it is closed
				}
			},
			OnDrain:    func(d tunnel.Drain) { out.drain <- d },
			OnHome:     func(h tunnel.Home) { out.home <- h },
			OnRenew:    func(within time.Duration) { out.renew <- within },
			OnVisit:    func(v tunnel.Visit) { out.heard <- string(v.ID) + " " + v.Who },
			OnVisitEnd: func(v id.Visit, code fault.Code) { out.heard <- string(v) + " over: " + string(code) },
		})
	}()
	w.t.Cleanup(func() { stop(); <-done })
	return out, nil
}

// connect is a tunnel that has been announced.
func (w *world) connect(d id.Device) *agent {
	w.t.Helper()
	a, err := w.dial(d)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := a.SendStatus(tunnel.Status{Portal: tunnel.Portal{Origin: "http://127.0.0.1:8088"}}); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("announced", func() bool { return w.route(d).Tunnel == a.Welcome().Tunnel })
	return a
}

func (w *world) route(d id.Device) bus.Route {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.routes[d]
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func (a *agent) mustEnd(t *testing.T) {
	t.Helper()
	select {
	case <-a.ended:
	case <-time.After(patience):
		t.Fatal("the tunnel goes on")
	}
}

// A tunnel does not keep whoever brought it.
func TestServeReturnsWhileTheTunnelRuns(t *testing.T) {
	w := newWorld(t, nil)
	d := id.NewDevice()
	a := w.connect(d)
	w.eventually("Serve returns", func() bool { return w.serving.Load() == 0 })
	if r := w.route(d); r.Down != "" || w.Count() != 1 {
		t.Errorf("%d tunnels; %+v", w.Count(), r)
	}
	w.End(d, time.Now(), fault.New(fault.DeviceRemoved, "removed"))
	a.mustEnd(t)
	w.eventually("counted out", func() bool { return w.Count() == 0 })
}

func TestNewerTunnelTakesOver(t *testing.T) {
	w := newWorld(t, nil)
	d := id.NewDevice()
	old := w.connect(d)
	young := w.connect(d)
	old.mustEnd(t)
	if r := w.route(d); r.Down != "" || r.Tunnel != young.Welcome().Tunnel {
		t.Errorf("the old tunnel's end undid the new one's route: %+v", r)
	}
	s, err := w.Dial(w.ctx, d, tunnel.Header{Service: "portal"})
	if err != nil {
		t.Fatal(err)
	}
	s.Reset()
}

func TestEndSaysWhy(t *testing.T) {
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		end  func(*agent, id.Device)
		want fault.Code
	}{
		"goodbye": {func(a *agent, _ id.Device) { _ = a.Stop(w.ctx) }, fault.AgentStopped},
		"switched off": {func(a *agent, _ id.Device) {
			_ = a.Leave(w.ctx, fault.New(fault.RemoteOff, "Remote access is off."))
		}, fault.RemoteOff},
		"removed": {func(_ *agent, d id.Device) {
			w.End(d, time.Now(), fault.New(fault.DeviceRemoved, "removed"))
		}, fault.DeviceRemoved},
	} {
		d := id.NewDevice()
		c.end(w.connect(d), d)
		w.eventually(name, func() bool { return w.route(d).Down == c.want })
		_, err := w.Dial(w.ctx, d, tunnel.Header{Service: "portal"})
		if !errors.Is(err, &fault.Error{Code: fault.NotConnected}) {
			t.Errorf("%s: a stream opens: %v", name, err)
		}
	}
}

// A tunnel admitted by a pass that is newer than the revocation stays.
func TestRevocationSparesNewerPasses(t *testing.T) {
	w := newWorld(t, nil)
	d := id.NewDevice()
	w.connect(d)
	w.End(d, w.issued.Add(-2*time.Second), fault.New(fault.DeviceRemoved, "removed"))
	if r := w.route(d); r.Down != "" {
		t.Errorf("down: %s", r.Down)
	}
}

func TestNewerTunnelElsewhere(t *testing.T) {
	w := newWorld(t, nil)
	d := id.NewDevice()
	a := w.connect(d)
	w.Superseded(d, "relay-2")
	a.mustEnd(t)
	w.eventually("withdrawn", func() bool { return w.route(d).Relay == "" })
}

// refused is how many hellos were refused for a reason.
func (w *world) refused(code fault.Code) float64 {
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "trunkline_relay_tunnels_refused_total" && m.GetLabel()[0].GetValue() == string(code) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, func(c *uplink.Config) { c.Max = 1 })
	_, err := w.dial("nonsense")
	if !errors.Is(err, &fault.Error{Code: fault.PassInvalid}) {
		t.Errorf("bad pass: %v", err)
	}
	w.eventually("its place is free again", func() bool { return w.Count() == 0 })
	w.connect(id.NewDevice())
	_, err = w.dial(id.NewDevice())
	if !errors.Is(err, &fault.Error{Code: fault.TooMany}) {
		t.Errorf("beyond tunnels.max: %v", err)
	}
	w.eventually("both counted by their codes", func() bool {
		return w.refused(fault.PassInvalid) == 1 && w.refused(fault.TooMany) == 1
	})
}

func TestAgentWithoutStatusIsEnded(t *testing.T) {
	w := newWorld(t, func(c *uplink.Config) { c.FirstStatus = 20 * time.Millisecond })
	d := id.NewDevice()
	a, err := w.dial(d)
	if err != nil {
		t.Fatal(err)
	}
	a.mustEnd(t)
	w.eventually("counted out", func() bool { return w.Count() == 0 })
	if r := w.route(d); r.Relay != "" {
		t.Errorf("announced all the same: %+v", r)
	}
}

// From an installation's only relay agents are let go at once, and not one after
// the other.
func TestDrainOfTheOnlyRelay(t *testing.T) {
	w := newWorld(t, nil)
	w.alone.Store(true)
	a, b := w.connect(id.NewDevice()), w.connect(id.NewDevice())
	served, done := make(chan struct{}), make(chan struct{})
	close(served)
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(w.ctx, 2*patience)
		defer cancel()
		w.Drain(ctx, time.Hour, served)
	}()
	a.mustEnd(t)
	b.mustEnd(t)
	<-done
}

// Drain: agents are told, new tunnels refused. Who does not move serves on while
// it is needed; then a running stream is let to its end, and only then is the
// tunnel closed.
func TestDrainLetsStreamsEnd(t *testing.T) {
	w := newWorld(t, nil)
	busy, idle := id.NewDevice(), id.NewDevice()
	a, b := w.connect(busy), w.connect(idle)
	s, err := w.Dial(w.ctx, busy, tunnel.Header{Service: "portal"})
	if err != nil {
		t.Fatal(err)
	}
	done, served := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(w.ctx, patience)
		defer cancel()
		w.Drain(ctx, 0, served)
	}()
	for x, d := range map[*agent]id.Device{a: busy, b: idle} {
		select {
		case m := <-x.drain:
			if !slices.Equal(m.Relays, []string{string(d) + ".example.com:8443"}) {
				t.Errorf("it was told to go to %v", m.Relays)
			}
		case <-time.After(patience):
			t.Fatal("an agent was not told to move")
		}
	}
	if _, err := w.dial(id.NewDevice()); !errors.Is(err, &fault.Error{Code: fault.Draining}) {
		t.Errorf("a new tunnel while draining: %v", err)
	}
	late, err := w.Dial(w.ctx, idle, tunnel.Header{Service: "portal"})
	if err != nil {
		t.Errorf("a stream to who has nowhere to go: %v", err)
	} else {
		late.Reset()
	}
	close(served)
	w.alone.Store(true)
	b.mustEnd(t)
	select {
	case <-a.ended:
		t.Error("a tunnel was closed under its running stream")
	case <-done:
		t.Error("Drain returned before the stream had ended")
	default:
	}
	s.Reset()
	a.mustEnd(t)
	<-done
}

func TestDrainCutsAtTheDeadline(t *testing.T) {
	w := newWorld(t, nil)
	a := w.connect(id.NewDevice())
	d := id.NewDevice()
	w.connect(d)
	if _, err := w.Dial(w.ctx, d, tunnel.Header{Service: "portal"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.ctx, 50*time.Millisecond)
	defer cancel()
	w.Drain(ctx, 0, nil)
	a.mustEnd(t)
	if w.Count() != 0 {
		t.Errorf("%d tunnels are left", w.Count())
	}
}

// Who was asked to move, and has a tunnel elsewhere, is not cut: its streams
// run on beside that, and new ones go there.
func TestMovedTunnelRunsOn(t *testing.T) {
	w := newWorld(t, nil)
	d := id.NewDevice()
	a := w.connect(d)
	s, err := w.Dial(w.ctx, d, tunnel.Header{Service: "portal"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(w.ctx, patience)
		defer cancel()
		w.Drain(ctx, 0, nil)
	}()
	select {
	case <-a.drain:
	case <-time.After(patience):
		t.Fatal("the agent was not told to move")
	}
	w.Superseded(d, "relay-2")
	if _, err := w.Dial(w.ctx, d, tunnel.Header{Service: "portal"}); !errors.Is(err, &fault.Error{Code: fault.NotConnected}) {
		t.Errorf("a new stream: %v", err)
	}
	select {
	case <-a.ended:
		t.Error("it was cut")
	default:
	}
	s.Reset()
	_ = a.Stop(w.ctx)
	<-done
}

// Who has just come is not sent on: the bus may not have heard of it yet.
func TestMoveLeavesWhoHasJustCome(t *testing.T) {
	w := newWorld(t, nil)
	w.connect(id.NewDevice())
	if n := w.Move(1, time.Minute, func(id.Device) []string { return []string{"relay-2.example.com:8443"} }); n != 0 {
		t.Errorf("%d were asked", n)
	}
}

// Of three agents two are asked to move: those with nothing to do first, and
// nobody twice. Who has moved keeps its streams.
func TestMoveAsksAFew(t *testing.T) {
	w := newWorld(t, func(c *uplink.Config) { c.Settle = 0 })
	ds := []id.Device{id.NewDevice(), id.NewDevice(), id.NewDevice()}
	as := []*agent{w.connect(ds[0]), w.connect(ds[1]), w.connect(ds[2])}
	s, err := w.Dial(w.ctx, ds[0], tunnel.Header{Service: "portal"})
	if err != nil {
		t.Fatal(err)
	}
	to := func(id.Device) []string { return []string{"relay-2.example.com:8443"} }
	if n := w.Move(2, time.Minute, to); n != 2 {
		t.Errorf("%d were asked", n)
	}
	for _, a := range as[1:] {
		select {
		case <-a.drain:
		case <-time.After(patience):
			t.Fatal("an idle one was not asked")
		}
	}
	if n := w.Move(2, time.Minute, to); n != 1 {
		t.Errorf("then %d were asked", n)
	}
	<-as[0].drain
	w.Superseded(ds[0], "relay-2")
	select {
	case <-as[0].ended:
		t.Error("the moved one was cut")
	default:
	}
	s.Reset()
}
