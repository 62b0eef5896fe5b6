package target

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"trunkline/internal/freeport"
	"trunkline/internal/id"
	"trunkline/internal/selfca"
	"trunkline/internal/service"
)

const (
	zone  = "localhost"
	admin = "loadtest@trunkline.local"
	// A drain of the installation's own relays. Agents move at 400 a second, for
	// drainSpread at most.
	drainLinger, drainDeadline, drainSpread = 2 * time.Second, 30 * time.Second, 5 * time.Second
	moveTime                                = time.Second / 400
	stopTime                                = drainDeadline + 15*time.Second
)

// Own is an installation of processes of its own: control, and relays.
type Own struct {
	*Target
	dir     string
	console string
	control *Process
	relays  []*Process
}

// Start runs an installation with room for so many sites, on free ports. Its
// files are in dir, which is to be a directory of its own. trunkline is the
// program.
func Start(ctx context.Context, dir, trunkline string, relays, sites int) (*Own, error) {
	o := &Own{dir: dir}
	if err := o.start(ctx, trunkline, relays, sites); err != nil {
		o.kill()
		return nil, err
	}
	return o, nil
}

func (o *Own) start(ctx context.Context, trunkline string, relays, sites int) error {
	ports, err := freeport.Find(3 + 2*relays)
	if err != nil {
		return err
	}
	listen, bus, adminPort := ports[0], ports[1], ports[2]
	public, admins := ports[3:3+relays], ports[3+relays:]
	o.console = "https://console." + zone + ":" + listen
	sitePort, err := strconv.Atoi(public[0])
	if err != nil {
		return err
	}
	ca, err := selfca.Open(o.path("tls"), zone)
	if err != nil {
		return err
	}
	key, err := License(o.path("licence"), sites)
	if err != nil {
		return err
	}
	var logins []any
	for i := range relays {
		name := relayName(i)
		if err := os.WriteFile(o.path(name+".password"), []byte(rand.Text()), 0o600); err != nil {
			return err
		}
		logins = append(logins, section{"user": name, "password_file": o.path(name + ".password"), "relay": name})
		relay := section{
			"name": name, "listen": loopback(public[i]), "port": sitePort, "zone": zone, "console": o.console,
			"ca_dir": o.path("tls"), "admin": loopback(admins[i]), "advertise": []string{zone + ":" + public[i]},
			"drain": section{"linger": drainLinger.String(), "deadline": drainDeadline.String(), "spread": min(drainSpread, time.Duration(sites)*moveTime).String()},
			"bus":   section{"url": "nats://" + loopback(bus), "user": name, "password_file": o.path(name + ".password")},
			"log":   section{"level": "warn"}, // an event per request would be a load of its own
		}
		p, err := o.process(trunkline, "relay", name, loopback(admins[i]), relay)
		if err != nil {
			return err
		}
		o.relays = append(o.relays, p)
	}
	o.control, err = o.process(trunkline, "control", "control", loopback(adminPort), section{
		"data": o.path("control"), "listen": loopback(listen), "ca_dir": o.path("tls"), "zone": zone, "port": sitePort,
		"license_key": key, "license_file": o.path("licence"), "first_admin": admin, "admin": loopback(adminPort),
		"limits": section{"user": 0, "address": 0, "agents": 0}, // a fleet comes from one address
		"bus":    section{"listen": loopback(bus), "logins": logins}, "log": section{"level": "warn"},
	})
	if err != nil {
		return err
	}
	for _, p := range append([]*Process{o.control}, o.relays...) {
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	password, err := os.ReadFile(filepath.Join(o.path("control"), "admin-password"))
	if err != nil {
		return err
	}
	var watched []Relay
	for _, p := range o.relays {
		watched = append(watched, Relay{Name: p.Name, Use: p.Use})
	}
	o.Target, err = Open(ctx, o.console, ca.File(), Login{Email: admin, Password: strings.TrimSpace(string(password))}, watched)
	if err != nil {
		return err
	}
	o.Ways.Port = public[0]
	for i, port := range public {
		o.Ways.Relays = append(o.Ways.Relays, Way{Name: id.Relay(relayName(i)), Addr: loopback(port), Admin: loopback(admins[i])})
	}
	return nil
}

type section = map[string]any

func relayName(i int) string { return fmt.Sprintf("relay-%d", i+1) }

func (o *Own) path(name string) string { return filepath.Join(o.dir, name) }

func loopback(port string) string { return net.JoinHostPort("127.0.0.1", port) }

func (o *Own) process(program, plane, name, admin string, config section) (*Process, error) {
	b, err := yaml.Marshal(config)
	if err != nil {
		return nil, err
	}
	file := o.path(name + ".yaml")
	return &Process{
		Name: name, Path: program, Args: []string{plane, "--config", file}, Log: o.path(name + ".log"),
		Ready: func(ctx context.Context) error { return service.Ready(ctx, admin) },
	}, os.WriteFile(file, b, 0o600)
}

// Kill ends relay number n, from 1, as a machine that dies. If again is not 0
// it is started again after that time.
func (o *Own) Kill(ctx context.Context, n int, again time.Duration) error {
	p := o.relays[n-1]
	p.Kill()
	if again == 0 {
		return nil
	}
	select {
	case <-time.After(again):
	case <-ctx.Done():
		return nil
	}
	return p.Start(ctx)
}

// Restart ends each relay in turn by SIGTERM and starts it again before the
// next one has its turn, as an upgrade does. step hears of each.
func (o *Own) Restart(ctx context.Context, step func(relay string)) error {
	for _, p := range o.relays {
		if ctx.Err() != nil {
			return nil
		}
		step(p.Name)
		if err := p.Stop(stopTime); err != nil {
			return err
		}
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the installation.
func (o *Own) Close(ctx context.Context) error {
	err := o.Target.Close(ctx)
	for _, p := range o.relays {
		p.Kill() // its tunnels are gone: there is nothing to drain
	}
	if err = errors.Join(err, o.control.Stop(stopTime)); err != nil {
		return fmt.Errorf("%w; what the installation left is in %s", err, o.dir)
	}
	return os.RemoveAll(o.dir)
}

func (o *Own) kill() {
	for _, p := range o.relays {
		p.Kill()
	}
	if o.control != nil {
		o.control.Kill()
	}
}
