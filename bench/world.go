package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"trunkline/control"
	"trunkline/control/api"
	"trunkline/control/license"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/freeport"
	"trunkline/internal/id"
	"trunkline/internal/selfca"
	"trunkline/internal/visitor"
	"trunkline/relay"
)

const (
	zone      = "localhost"
	startTime = 30 * time.Second
	firmware  = "83.19.0.110"
	model     = "P-Series Software Edition"
)

// world is an installation: control with the bus in it, as a process, and one
// relay at a time, as another.
type world struct {
	o    options
	fam  *family
	ca   *selfca.CA
	api  *controlapi.Client // signed in
	conf *tls.Config        // trusts ca

	email, password      string
	control              control.Config
	portConsole, portBus string
	adminControl         string
	first, second        door
}

// door is where a relay listens.
type door struct {
	tls, plain string // ports
	admin      string
}

func newWorld(ctx context.Context, o options, fam *family) (*world, error) {
	w := &world{o: o, fam: fam}
	var err error
	if w.ca, err = selfca.Open(w.path("tls"), zone); err != nil {
		return nil, err
	}
	w.conf = &tls.Config{RootCAs: w.ca.Pool()}
	ports, err := freeport.Find(9)
	if err != nil {
		return nil, err
	}
	w.portConsole, w.portBus, w.adminControl = ports[0], ports[1], loopback(ports[2])
	w.first, w.second = door{ports[3], ports[4], loopback(ports[5])}, door{ports[6], ports[7], loopback(ports[8])}
	if err := w.startControl(ctx); err != nil {
		return nil, err
	}
	return w, w.signIn(ctx)
}

func (w *world) path(name string) string { return filepath.Join(w.fam.dir, name) }

func loopback(port string) string { return net.JoinHostPort("127.0.0.1", port) }

// cpuRelay and a memoryRelay for each number of tunnels may dial the bus. A
// relay is not started twice under one name: the second would find the lease of
// the first.
const (
	cpuRelay    = id.Relay("bench-cpu")
	secondRelay = id.Relay("bench-second")
)

func memoryRelay(tunnels int) id.Relay { return id.Relay(fmt.Sprintf("bench-memory-%d", tunnels)) }

func (o options) relays() []id.Relay {
	out := []id.Relay{cpuRelay, secondRelay}
	for _, n := range o.tunnels {
		out = append(out, memoryRelay(n))
	}
	return out
}

func (w *world) startControl(ctx context.Context) error {
	c := control.Default()
	c.Data, c.CADir, c.Listen, c.Admin = w.path("control"), w.path("tls"), loopback(w.portConsole), w.adminControl
	c.Limits = api.Limits{} // a fleet comes from one address
	c.Bus = bus.Config{Listen: loopback(w.portBus)}
	for _, name := range w.o.relays() {
		file := w.path(string(name) + ".password")
		if err := os.WriteFile(file, []byte(rand.Text()), 0o600); err != nil {
			return err
		}
		c.Bus.Logins = append(c.Bus.Logins, bus.Login{User: string(name), PasswordFile: file, Relay: name})
	}
	var err error
	if c.Port, err = strconv.Atoi(w.first.tls); err != nil {
		return err
	}
	if c.LicenseFile, c.LicenseKey, err = w.license(); err != nil {
		return err
	}
	w.control = c
	p, err := w.daemon("control", "control", c, control.Default())
	if err != nil {
		return err
	}
	return p.await(ctx, startTime, func() error { return readyz(ctx, w.adminControl) })
}

// license is bench's own, for as many PBXs as it needs.
func (w *world) license() (file, key string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	b, err := license.Issue(priv, license.License{Holder: "bench", Plan: "bench", Connections: slices.Max(w.o.tunnels) + 1})
	if err != nil {
		return "", "", err
	}
	file = w.path("licence")
	return file, base64.StdEncoding.EncodeToString(pub), os.WriteFile(file, b, 0o600)
}

// daemon starts `trunkline COMMAND --config FILE`. The file says only what is not
// the default, so that an older program does not find keys it has never heard of.
func (w *world) daemon(name, command string, cfg, byDefault any) (*child, error) {
	b, err := changedYAML(cfg, byDefault)
	if err != nil {
		return nil, err
	}
	file := w.path(name + ".yaml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	return w.fam.start(name, append(append([]string{}, w.o.trunkline...), command, "--config", file), nil, nil)
}

// startRelay runs a fresh relay with its defaults; only addresses are set.
func (w *world) startRelay(ctx context.Context, name id.Relay, at door) (*child, error) {
	r := relay.Default()
	r.Name, r.Listen, r.CADir, r.Admin = name, loopback(at.tls), w.path("tls"), at.admin
	r.Edge.HTTPListen = loopback(at.plain)
	r.Console = w.console()
	r.Bus = bus.Config{URL: "nats://" + loopback(w.portBus), User: string(name), PasswordFile: w.path(string(name) + ".password")}
	r.Drain = relay.Drain{Deadline: time.Second} // nobody waits for its end
	p, err := w.daemon(string(name), "relay", r, relay.Default())
	if err != nil {
		return nil, err
	}
	return p, p.await(ctx, startTime, func() error { return readyz(ctx, at.admin) })
}

func (w *world) console() string { return "https://" + w.control.ConsoleHost() + ":" + w.portConsole }

func (w *world) signIn(ctx context.Context) error {
	b, err := os.ReadFile(filepath.Join(w.control.Data, control.PasswordFile))
	if err != nil {
		return err
	}
	w.email, w.password = w.control.FirstAdmin, string(bytes.TrimSpace(b))
	api, err := controlapi.NewClient(w.console(), &http.Client{Transport: controlapi.NewTransport(w.conf.Clone())})
	if err != nil {
		return err
	}
	s, err := api.SignIn(ctx, w.email, w.password)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	w.api = api.WithToken(s.Token)
	return nil
}

// visit starts a visit to a device and opens it at the relay.
func (w *world) visit(ctx context.Context, d id.Device) (*visitor.Visitor, id.Visit, error) {
	start, err := w.api.StartVisit(ctx, controlapi.VisitRequest{Device: d})
	if err != nil {
		return nil, "", fmt.Errorf("start visit: %w", err)
	}
	v, err := visitor.Enter(ctx, w.conf.Clone(), w.console(), start)
	return v, start.Visit.ID, err
}

// rexec starts one of bench's own children and decodes the line that says it
// is ready.
func (f *family) rexec(ctx context.Context, o options, name string, order, ready any) (*child, error) {
	in, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c, err := f.start(name, append(append([]string{}, o.self...), childArg, name), bytes.NewReader(in), w)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	answered := make(chan error, 1)
	go func() { answered <- json.NewDecoder(r).Decode(ready) }()
	select {
	case err := <-answered:
		if err != nil {
			<-c.done // its end of the pipe is closed
			return nil, c.alive()
		}
		return c, nil
	case <-time.After(2 * time.Minute):
		return nil, fmt.Errorf("%s is not ready after two minutes", name)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func readyz(ctx context.Context, admin string) error {
	return adminGet(ctx, admin, "/readyz")
}

func adminGet(ctx context.Context, admin, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return errors.Join(drained(resp), resp.Body.Close())
}

// drained reads a response to its end and makes an error of its status.
func drained(resp *http.Response) error {
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}
