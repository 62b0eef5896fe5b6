// Package loadtest puts load on an installation from outside: it activates
// simulated PBXs by e-mail and password, runs the real agent for each, opens a
// visit to each, and sends requests through the relay at a given rate.
//
//	visitors --HTTPS--> relay ==tunnels== agents --loopback--> one tiny portal
//
// The load is open-loop: a request goes out when it is due, however long the
// earlier ones take, and its latency counts from when it was due. Agents,
// visitors and portal share this process: what is measured is what a visitor
// sees, never what the relay costs, and on the relay's own machine both compete
// for the same cores. That is what bench is for.
//
// It leaves nothing behind: the devices it activated are removed at the end,
// also when it is interrupted. If it was killed, search the device list for
// LOADTEST.
package loadtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/internal/controlapi"
)

// Options of a test.
type Options struct {
	Server   string // the console's URL
	CAFile   string // PEM; "": the system's roots
	Email    string
	Password string // secret

	Devices  int
	Duration time.Duration
	Rate     float64 // requests a second, of all devices together
	Path     string  // "" is /
	Size     int     // bytes of the portal's answer
	// MaxInFlight bounds the requests that wait for an answer. One that is due
	// beyond it is not sent, and counts as an error.
	MaxInFlight int
	Timeout     time.Duration // of one request
}

// Default is what Options are if nobody says otherwise.
func Default() Options {
	return Options{
		Devices: 10, Duration: 30 * time.Second, Rate: 100, Path: "/", Size: 1 << 10,
		MaxInFlight: 1024, Timeout: 30 * time.Second,
	}
}

const (
	maxDevices = 10_000
	maxRate    = 1e6
	// setupTime bounds what comes before the load, for each device; endTime
	// what comes after it.
	setupTime = time.Minute
	endTime   = 30 * time.Second
)

// Validate names the option that is wrong.
func (o Options) Validate() error {
	switch {
	case o.Server == "":
		return errors.New("server: missing")
	case o.Email == "" || o.Password == "":
		return errors.New("email and password: missing")
	case o.Devices < 1 || o.Devices > maxDevices:
		return fmt.Errorf("devices: need 1 to %d", maxDevices)
	case o.Duration <= 0:
		return errors.New("duration: need a time longer than 0")
	case !(o.Rate > 0 && o.Rate <= maxRate): // NaN too
		return fmt.Errorf("rate: need more than 0 and at most %.0f", maxRate)
	case o.Path == "" || o.Path[0] != '/':
		return errors.New("path: has to begin with a slash")
	case o.Size < 0 || o.Size > 1<<30:
		return errors.New("size: need 0 to 1073741824 bytes")
	case o.MaxInFlight < 1:
		return errors.New("max-in-flight: need at least 1")
	case o.Timeout <= 0:
		return errors.New("timeout: need a time longer than 0")
	}
	return nil
}

// Test is one run.
type Test struct {
	o       Options
	out     io.Writer
	log     *zap.Logger
	metrics *metrics
	tls     *tls.Config
	api     *controlapi.Client
	idle    func() // closes the API's connections
}

// New checks the options; it starts nothing. progress gets a line for each step
// and each second.
func New(o Options, progress io.Writer, log *zap.Logger, reg prometheus.Registerer) (*Test, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	t := &Test{o: o, out: progress, log: log, tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		t.tls.RootCAs = x509.NewCertPool()
		if !t.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: no certificate in %s", o.CAFile)
		}
	}
	transport := controlapi.NewTransport(t.tls.Clone()) // a transport writes to its configuration
	t.idle = transport.CloseIdleConnections
	var err error
	if t.api, err = controlapi.NewClient(o.Server, &http.Client{Transport: transport}); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	t.metrics = newMetrics(reg)
	return t, nil
}

// Run does the whole test. If ctx ends during the load the result is of the
// part until then. An error means that there was no load, or that something
// could not be cleared away.
func (t *Test) Run(ctx context.Context) (r Result, err error) {
	defer t.idle()
	session, err := t.api.SignIn(ctx, t.o.Email, t.o.Password)
	if err != nil {
		return Result{}, fmt.Errorf("sign in: %w", err)
	}
	t.api = t.api.WithToken(session.Token)
	defer func() { err = errors.Join(err, t.signOut(ctx)) }()

	portal, err := newPortal(t.o.Size)
	if err != nil {
		return Result{}, err
	}
	defer portal.close()
	dir, err := os.MkdirTemp("", "trunkline-loadtest-")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)

	life, stop := context.WithCancel(context.WithoutCancel(ctx)) // the agents', beyond the load
	defer stop()
	pbxs := newFleet(t, dir, portal.url)
	defer func() {
		stop()
		err = errors.Join(err, pbxs.clear(ctx))
	}()
	began := time.Now()
	if err := pbxs.activate(ctx); err != nil {
		return Result{}, err
	}
	t.step(&began, "%d devices activated", t.o.Devices)
	if err := pbxs.connect(ctx, life); err != nil {
		return Result{}, err
	}
	t.step(&began, "%d tunnels up", t.o.Devices)
	visitors, err := pbxs.visit(ctx)
	if err != nil {
		return Result{}, err
	}
	defer visitors.close()
	t.step(&began, "%d visits open", t.o.Devices)
	return t.load(ctx, visitors), nil
}

func (t *Test) step(began *time.Time, format string, args ...any) {
	fmt.Fprintf(t.out, format+" in %v\n", append(args, time.Since(*began).Round(time.Millisecond))...)
	*began = time.Now()
}

func (t *Test) signOut(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if err := t.api.SignOut(ctx); err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	return nil
}
