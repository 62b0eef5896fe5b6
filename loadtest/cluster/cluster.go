package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"trunkline/internal/id"
	"trunkline/internal/selfca"
	"trunkline/internal/service"
	"trunkline/loadtest/target"
)

// Options say what is made, and of which programs.
type Options struct {
	Dir       string // its own
	Trunkline string // the program
	Agent     string // the program of those agents that are processes
	From      string // with which nodes start that are then upgraded; "": Trunkline
	OwnClocks bool   // the programs were built with scripts/own-clock
	NATS      string // nats-server
	Relays    int
	Controls  int
	Buses     int   // nodes of NATS
	Sites     int   // that the licence has room for
	Standby   bool  // PostgreSQL has one, which has all that was committed
	Drain     Drain // of each relay
	Log       *zap.Logger
}

// Cluster is a whole installation.
type Cluster struct {
	o   Options
	dir string
	net network
	ca  *selfca.CA

	relays, controls, nats []*member
	db                     *member
	follower               *standby // of PostgreSQL; nil: none
	bus, database          string   // URLs
	createDatabase         func() error
	*target.Target

	undos  []func() error
	beside sync.WaitGroup

	mu   sync.Mutex
	mute map[id.Relay]bool // cut off or frozen: what it says of itself is worth nothing
}

const (
	zone        = "localhost"
	admin       = "cluster@trunkline.local"
	portSites   = "8443"
	portConsole = "8444"
	portAdmin   = "9700"
	console     = "https://console." + zone + ":" + portConsole
)

// Start runs an installation.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{o: o, dir: o.Dir, mute: make(map[id.Relay]bool)}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// start brings up one layer after the other: each waits for the one it is on.
func (c *Cluster) start(ctx context.Context) (err error) {
	if c.net, err = newNetwork(); err != nil {
		return err
	}
	if c.ca, err = selfca.Open(c.path("tls"), zone); err != nil {
		return err
	}
	key, err := target.License(c.path("licence"), c.o.Sites)
	if err != nil {
		return err
	}
	if err := errors.Join(c.addRelays(), c.addNATS(c.o.NATS, c.o.Buses), c.addDatabase(), c.addControls(key)); err != nil {
		return err
	}
	for i := range c.relays {
		if err := c.configureRelay(i); err != nil {
			return err
		}
	}
	if err := all(c.nats, func(m *member) error { return m.Start(ctx) }); err != nil {
		return err
	}
	if err := c.startDatabase(ctx); err != nil {
		return err
	}
	for _, m := range c.controls { // the first makes the tables and the first admin
		if err := m.Start(ctx); err != nil {
			return err
		}
	}
	if err := all(c.relays, func(m *member) error { return m.Start(ctx) }); err != nil {
		return err
	}
	return c.open(ctx)
}

// open puts balancers before controls and relays, and signs in.
func (c *Cluster) open(ctx context.Context) error {
	life, stop := context.WithCancel(context.Background())
	c.undo(func() error { stop(); c.beside.Wait(); return nil })
	if _, err := c.balance(life, c.controls, portConsole); err != nil {
		return err
	}
	visitors, err := c.balance(life, c.relays, portSites)
	if err != nil {
		return err
	}
	password, err := os.ReadFile(filepath.Join(c.path(c.controls[0].name), "admin-password"))
	if err != nil {
		return err
	}
	login := target.Login{Email: admin, Password: strings.TrimSpace(string(password))}
	for late := time.Now().Add(startPatience); ; time.Sleep(lookEvery) {
		if c.Target, err = target.Open(ctx, console, c.ca.File(), login, nil); err == nil {
			break
		}
		if time.Now().After(late) {
			return err
		}
	}
	c.Ways.Port, c.Ways.Balance = portSites, visitors.Dial
	for _, m := range c.relays {
		c.Ways.Relays = append(c.Ways.Relays, target.Way{Name: id.Relay(m.name), Addr: c.at(m.node, portSites), Told: told(m)})
	}
	return nil
}

// balance puts a balancer before nodes of a kind, at their port on loopback, until
// life ends.
func (c *Cluster) balance(life context.Context, ms []*member, port string) (*target.Balancer, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, err
	}
	var nodes []target.Node
	for _, m := range ms {
		nodes = append(nodes, target.Node{Addr: c.at(m.node, port), Health: m.Ready})
	}
	b := target.NewBalancer(nodes, target.CheckEvery)
	c.beside.Go(func() { b.Run(life) })
	c.beside.Go(func() {
		if err := b.Serve(life, ln); err != nil {
			c.o.Log.Error("balancer", zap.Error(err))
		}
	})
	return b, nil
}

const (
	startPatience = 30 * time.Second
	// answersIn is how long a node's word on itself is waited for.
	answersIn = 2 * time.Second
)

// told is how agents know a relay: its name is on its certificate, and Ways
// have its address.
func told(m *member) string { return m.name + "." + zone + ":" + portSites }

func (c *Cluster) addRelays() error {
	for i := range c.o.Relays {
		n := node{fmt.Sprintf("relay-%d", i+1), kindRelay, byte(i + 1)}
		if err := c.net.add(n); err != nil {
			return err
		}
		c.relays = append(c.relays, &member{node: n})
	}
	return nil
}

// configureRelay comes when the bus has its address.
func (c *Cluster) configureRelay(i int) error {
	m := c.relays[i]
	p, err := c.daemon(m.node, "relay", c.relayConfig(m.node, m.name))
	m.Process = p
	return err
}

// relayConfig is that of a relay of that name on a node.
func (c *Cluster) relayConfig(n node, name string) section {
	return section{
		"name": name, "listen": c.at(n, portSites), "zone": zone, "console": console, "ca_dir": c.path("tls"),
		"advertise": []string{name + "." + zone + ":" + portSites}, "admin": c.at(n, portAdmin),
		"drain": section{"linger": c.o.Drain.Linger.String(), "spread": c.o.Drain.Spread.String(), "deadline": c.o.Drain.Deadline.String()},
		"peer":  section{"advertise": c.at(n, portSites)},
		"bus":   section{"url": c.bus, "user": name, "password_file": c.path(name + ".password")}, "log": section{"level": "info"},
	}
}

func (c *Cluster) addControls(licenseKey string) error {
	for i := range c.o.Controls {
		n := node{fmt.Sprintf("control-%d", i+1), kindControl, byte(i + 1)}
		if err := c.net.add(n); err != nil {
			return err
		}
		p, err := c.daemon(n, "control", section{
			"data": c.path(n.name), "listen": c.at(n, portConsole), "ca_dir": c.path("tls"), "zone": zone, "port": 8443,
			"database": c.database, "license_key": licenseKey, "license_file": c.path("licence"), "first_admin": admin, "admin": c.at(n, portAdmin),
			"limits": section{"user": 0, "address": 0, "agents": 0}, // a fleet comes from one address
			"bus":    section{"url": c.bus, "user": "control", "password_file": c.path("control.password")}, "log": section{"level": "info"},
		})
		if err != nil {
			return err
		}
		c.controls = append(c.controls, &member{n, p})
	}
	return nil
}

type section = map[string]any

// daemon is one of our programs with its configuration.
func (c *Cluster) daemon(n node, plane string, config section) (*target.Process, error) {
	b, err := yaml.Marshal(config)
	if err != nil {
		return nil, err
	}
	file, ready := c.path(n.name+".yaml"), "http://"+c.at(n, portAdmin)+"/readyz"
	return c.process(n, []string{cmp.Or(c.o.From, c.o.Trunkline), plane, "--config", file}, func(ctx context.Context) error {
		return service.Answers(ctx, ready)
	}), os.WriteFile(file, b, 0o600)
}

// process runs on a node.
func (c *Cluster) process(n node, args []string, ready func(context.Context) error) *target.Process {
	args = append(c.net.inside(n), args...)
	return &target.Process{
		Name: n.name, Path: args[0], Args: args[1:], Env: c.clockOf(n.name), Log: c.path(n.name + ".log"),
		Ready: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, answersIn) // a node may be off the network
			defer cancel()
			return ready(ctx)
		},
	}
}

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *Cluster) at(n node, port string) string { return net.JoinHostPort(c.net.addr(n), port) }

func (c *Cluster) undo(f func() error) { c.undos = append(c.undos, f) }

// relayAt is the name of the relay at an address for visitors, or the address.
func (c *Cluster) relayAt(addr string) string {
	for _, m := range c.relays {
		if c.at(m.node, portSites) == addr {
			return m.name
		}
	}
	return addr
}

// serves reports whether a relay can be reached and works.
func (c *Cluster) serves(r id.Relay) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.relays {
		if m.name == string(r) {
			return !c.mute[r] && m.Running()
		}
	}
	return false
}

// silence notes that a relay is cut off or frozen, or is so no more.
func (c *Cluster) silence(m *member, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute[id.Relay(m.name)] = on
}

// Close ends everything. Logs stay in the directory.
func (c *Cluster) Close() error {
	for _, group := range [][]*member{c.relays, c.controls, c.nats, {c.db}, c.follower.members()} {
		for _, m := range group {
			if m != nil && m.Process != nil {
				m.Signal(syscall.SIGCONT)
				m.Kill()
			}
		}
	}
	var errs []error
	for i := len(c.undos) - 1; i >= 0; i-- {
		errs = append(errs, c.undos[i]())
	}
	return errors.Join(errs...)
}

// all does the same to every member at once.
func all(ms []*member, do func(*member) error) error {
	errs := make([]error, len(ms))
	var wg sync.WaitGroup
	for i, m := range ms {
		wg.Go(func() { errs[i] = do(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
