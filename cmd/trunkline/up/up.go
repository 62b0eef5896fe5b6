// Package up is a whole installation in one process: a control node, a relay
// and the bus between them, on one public port. `trunkline up`, the demo and
// the tests start it.
package up

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"syscall"

	"go.uber.org/zap"

	"trunkline/control"
	"trunkline/internal/bus"
	"trunkline/internal/selfca"
	"trunkline/internal/service"
	"trunkline/relay"
)

// Config is the file of `trunkline up`. What the two planes share is said once,
// at the top; in the sections those keys have no place.
type Config struct {
	Data    string            `yaml:"data"`    // database, self-made CA, first admin's password
	Listen  string            `yaml:"listen"`  // the one public port
	Zone    string            `yaml:"zone"`    // the console is console.<zone>, sites are <site>.<zone>
	Bus     bus.Config        `yaml:"bus"`     // embedded unless it has a URL
	Control control.Config    `yaml:"control"` // less what stands at the top
	Relay   relay.Config      `yaml:"relay"`   // the same
	Log     service.LogConfig `yaml:"log"`
}

// Default is what a key that the file does not mention means.
func Default() Config {
	c := Config{
		Data: "data", Listen: ":8443", Zone: "localhost", Control: control.Default(), Relay: relay.Default(),
		Log: service.LogConfig{Level: "info", Format: "json"},
	}
	for _, k := range c.shared() {
		reflect.ValueOf(k.value).Elem().SetZero()
	}
	c.Relay.Drain.Linger = 0 // nobody else is there to send browsers to
	return c
}

// sharedKey is a plane's key that `up` fills in itself.
type sharedKey struct {
	name  string
	value any    // pointer to the plane's field
	from  string // what says it here
}

func (c *Config) shared() []sharedKey {
	return []sharedKey{
		{"control.data", &c.Control.Data, "data"},
		{"control.listen", &c.Control.Listen, "listen"},
		{"control.zone", &c.Control.Zone, "zone"},
		{"control.port", &c.Control.Port, "relay.port"},
		{"control.cert_file", &c.Control.CertFile, "relay.cert_file"},
		{"control.key_file", &c.Control.KeyFile, "relay.key_file"},
		{"control.ca_dir", &c.Control.CADir, "data: the CA is in its directory tls"},
		{"control.proxy_protocol", &c.Control.ProxyProtocol, "relay.proxy_protocol"},
		{"control.bus", &c.Control.Bus, "bus"},
		{"control.log", &c.Control.Log, "log"},
		{"relay.listen", &c.Relay.Listen, "listen"},
		{"relay.zone", &c.Relay.Zone, "zone"},
		{"relay.ca_dir", &c.Relay.CADir, "data: the CA is in its directory tls"},
		{"relay.bus", &c.Relay.Bus, "bus"},
		{"relay.log", &c.Relay.Log, "log"},
	}
}

// Validate names the key that is wrong.
func (c Config) Validate() error {
	var errs []error
	// A value there would silently do nothing.
	for _, k := range c.shared() {
		if !reflect.ValueOf(k.value).Elem().IsZero() {
			errs = append(errs, fmt.Errorf("%s: has no effect in this file; use %s", k.name, k.from))
		}
	}
	if c.Data == "" {
		errs = append(errs, errors.New("data: missing"))
	}
	top := relay.Default() // listen and zone have the same names and rules there
	top.Listen, top.Zone = c.Listen, c.Zone
	errs = append(errs, top.Validate())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	c.share(8443)
	return errors.Join(prefix("control", c.Control.Validate()), prefix("relay", c.Relay.Validate()))
}

// prefix puts the section's name before each key in err.
func prefix(section string, err error) error {
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) {
		return err
	}
	var errs []error
	for _, e := range many.Unwrap() {
		errs = append(errs, fmt.Errorf("%s.%w", section, e))
	}
	return errors.Join(errs...)
}

// share copies what is said once into the planes' configurations.
func (c *Config) share(port int) {
	c.Control.Data, c.Control.Listen, c.Control.Zone = c.Data, "", c.Zone
	c.Relay.Zone, c.Relay.Listen = c.Zone, c.Listen
	if c.Control.Port = c.Relay.Port; c.Control.Port == 0 {
		c.Control.Port = port
	}
	if c.Relay.Console == "" {
		c.Relay.Console = "https://" + c.Control.ConsoleHost()
		if c.Control.Port != 443 { // an origin has no default port in it, and the edge compares origins
			c.Relay.Console += fmt.Sprintf(":%d", c.Control.Port)
		}
	}
}

// Up is the installation.
type Up struct {
	cfg     Config
	log     *zap.Logger
	ca      *selfca.CA // nil with certificates of the operator's own
	bus     *bus.Bus
	Control *control.Control
	Relay   *relay.Relay
	admins  []*service.Admin
}

// New binds, opens and wires; nothing runs yet.
func New(ctx context.Context, cfg Config, log *zap.Logger) (*Up, error) {
	if err := cfg.Validate(); err != nil {
		return nil, &service.UsageError{Err: err}
	}
	for try := 1; ; try++ {
		u := &Up{log: log}
		err := u.build(ctx, cfg)
		if err == nil {
			return u, nil
		}
		err = errors.Join(err, u.close())
		// A port that was free when it was chosen may be somebody's by now.
		if !anyPort(cfg.Listen) || !errors.Is(err, syscall.EADDRINUSE) || try == portTries {
			return nil, err
		}
	}
}

const portTries = 3

func anyPort(listen string) bool {
	_, port, err := net.SplitHostPort(listen)
	return err == nil && port == "0"
}

func (u *Up) build(ctx context.Context, cfg Config) error {
	listen, port, err := fixPort(cfg.Listen)
	if err != nil {
		return err
	}
	cfg.Listen = listen
	cfg.share(port)
	u.cfg = cfg
	var cert func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	if cfg.Relay.CertFile == "" {
		if u.ca, err = selfca.Open(filepath.Join(cfg.Data, "tls"), cfg.Zone); err != nil {
			return fmt.Errorf("self-made CA: %w", err)
		}
		cert = u.ca.Certificate
	}
	if u.bus, err = bus.Open(ctx, cfg.Bus, u.log.Named("bus")); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	controlReg, relayReg := service.Registry(), service.Registry()
	if u.Control, err = control.New(ctx, control.Options{
		Config: cfg.Control, Bus: u.bus, Certificate: cert, Log: u.log.Named("control"), Registerer: controlReg,
	}); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if u.Relay, err = relay.New(relay.Options{
		Config: cfg.Relay, Bus: u.bus, Certificate: cert, Log: u.log.Named("relay"), Registerer: relayReg,
		Hosts: map[string]func(*tls.Conn){cfg.Control.ConsoleHost(): u.Control.Serve},
	}); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if err := u.admin(cfg.Control.Admin, controlReg, u.Control.Ready); err != nil {
		return err
	}
	if err := u.admin(cfg.Relay.Admin, relayReg, u.Relay.Ready); err != nil || cfg.Relay.Admin == "" {
		return err
	}
	u.admins[len(u.admins)-1].Handle("/drain", u.Relay.DrainPage())
	return nil
}

// fixPort turns port 0 into a free one: the console's and the sites' addresses
// have the port in them before the relay listens.
func fixPort(listen string) (addr string, port int, err error) {
	host, p, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, &service.UsageError{Err: fmt.Errorf("listen: %w", err)}
	}
	if anyPort(listen) {
		ln, err := net.Listen("tcp", listen)
		if err != nil {
			return "", 0, err
		}
		_, p, _ = net.SplitHostPort(ln.Addr().String())
		if err := ln.Close(); err != nil {
			return "", 0, err
		}
	}
	if port, err = net.LookupPort("tcp", p); err != nil {
		return "", 0, &service.UsageError{Err: fmt.Errorf("listen: %w", err)}
	}
	return net.JoinHostPort(host, p), port, nil
}
