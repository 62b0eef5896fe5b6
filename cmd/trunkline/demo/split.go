package demo

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"trunkline/control"
	"trunkline/internal/bus"
	"trunkline/internal/selfca"
	"trunkline/internal/service"
	"trunkline/relay"
)

// split is control and relay as processes of their own. Control has the bus
// in it; the relay dials in with a login that may touch only its own.
type split struct {
	d       *demo
	ca      *selfca.CA
	control control.Config
	relay   relay.Config
	self    string // this program
}

func newSplit(_ context.Context, d *demo) (*split, error) {
	self, err := ourselves()
	if err != nil {
		return nil, err
	}
	s := &split{d: d, self: self, control: control.Default(), relay: relay.Default()}
	caDir := filepath.Join(d.o.Data, "tls")
	if s.ca, err = selfca.Open(caDir, s.relay.Zone); err != nil {
		return nil, err
	}
	password := filepath.Join(d.o.Data, "bus-password")
	if err := os.WriteFile(password, []byte(rand.Text()), 0o600); err != nil {
		return nil, err
	}
	ports, err := s.ports()
	if err != nil {
		return nil, err
	}
	s.relay.Listen, s.relay.CADir, s.relay.Console = ports.listen, caDir, "https://"+s.control.ConsoleHost()+":"+ports.control
	s.relay.Bus = bus.Config{URL: "nats://127.0.0.1:" + ports.bus, User: string(s.relay.Name), PasswordFile: password}
	s.relay.Drain = relay.Drain{Deadline: 3 * time.Second}
	s.control.Data, s.control.CADir, s.control.Listen = d.o.Data, caDir, "127.0.0.1:"+ports.control
	s.control.Bus = bus.Config{
		Listen: "127.0.0.1:" + ports.bus,
		Logins: []bus.Login{{User: string(s.relay.Name), PasswordFile: password, Relay: s.relay.Name}},
	}
	if s.control.Port, err = net.LookupPort("tcp", ports.sites); err != nil {
		return nil, err
	}
	return s, errors.Join(s.write("control.yaml", s.control), s.write("relay.yaml", s.relay))
}

type splitPorts struct{ listen, sites, control, bus string }

// ports takes the console's and the bus's from the kernel, and keeps the
// sites' as told. Told to take any, it takes any for the admin listeners too:
// this demo is to run beside whatever runs already.
func (s *split) ports() (p splitPorts, err error) {
	host, port, err := net.SplitHostPort(s.d.o.Listen)
	if err != nil {
		return p, fmt.Errorf("listen: %w", err)
	}
	p.sites = port
	wanted := []*string{&p.control, &p.bus}
	var admins [2]string
	if port == "0" {
		wanted = append(wanted, &p.sites, &admins[0], &admins[1])
	}
	defer func() {
		p.listen = net.JoinHostPort(host, p.sites)
		if admins[0] != "" {
			s.control.Admin, s.relay.Admin = "127.0.0.1:"+admins[0], "127.0.0.1:"+admins[1]
		}
	}()
	for _, port := range wanted {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		defer ln.Close()
		_, *port, _ = net.SplitHostPort(ln.Addr().String())
	}
	return p, nil
}

func (s *split) write(name string, cfg any) error {
	b, err := yaml.Marshal(cfg)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.d.o.Data, name), b, 0o600)
}

func (s *split) run(ctx context.Context, serving func()) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, name := range []string{"control", "relay"} {
		c := child{
			name: "trunkline " + name, path: s.self, log: s.d.logFile(name), say: s.d.say,
			args: []string{name, "--config", filepath.Join(s.d.o.Data, name+".yaml")},
		}
		g.Go(func() error { return c.run(ctx) })
	}
	g.Go(func() error {
		if waitReady(ctx, func() error {
			return errors.Join(service.Ready(ctx, s.control.Admin), service.Ready(ctx, s.relay.Admin))
		}) {
			serving()
		}
		return nil
	})
	return g.Wait()
}

func (s *split) consoleURL() string { return s.relay.Console }
func (s *split) caFile() string     { return s.ca.File() }
func (s *split) tls() *tls.Config   { return &tls.Config{RootCAs: s.ca.Pool()} }

func (s *split) login() (email, password string, err error) {
	b, err := os.ReadFile(filepath.Join(s.control.Data, control.PasswordFile))
	return s.control.FirstAdmin, strings.TrimSpace(string(b)), err
}
