// Package agent is the program on, or beside, a PBX: it holds one tunnel to a
// relay of the provider's, for ever, and carries the streams that the relay
// opens to the PBX's own web portal on loopback.
//
//	identity.json, device.key <-- Activate --> control
//	        |                                     ^
//	        v                                     | a new pass, the live relays
//	      passes --------------------------------'
//	        | pass, addresses
//	        v
//	      hold --dial--> relay --streams--> portal --TCP or TLS--> the PBX's web UI
//
// It listens to nobody but its own machine, decides nothing about who may
// visit, and knows no HTTP: what streams carry is bytes. hold owns the tunnels,
// passes owns the pass and the identity, portal owns the connections to the
// PBX, and Agent waits for all of them.
package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/internal/controlapi"
	"trunkline/internal/service"
	"trunkline/internal/tunnel"
)

// Agent holds the tunnel of one activated PBX.
type Agent struct {
	dir    *dir
	log    *zap.Logger
	met    *metrics
	passes *passes
	portal *portal
	state  *tracker
	dial   func(ctx context.Context, addr, pass string) (link, error)
	idle   func() // closes connections to control that are kept for the next renewal

	// The rest is hold's alone.
	relays relays
	old    []*held // finish their streams beside the current one

	wg sync.WaitGroup // of the tunnels
}

// New takes the data directory and wires; nothing runs yet. It errs with
// ErrNotActivated or ErrBusy, or says what is wrong with which file.
func New(c Config, log *zap.Logger, reg prometheus.Registerer) (*Agent, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d, err := openDir(c.Data)
	if err != nil {
		return nil, err
	}
	a := &Agent{dir: d, log: log}
	if err := a.wire(c, reg); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return a, nil
}

func (a *Agent) wire(c Config, reg prometheus.Registerer) error {
	i, err := a.dir.identity()
	if err != nil {
		return err
	}
	key, err := a.dir.key()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; run `trunkline-agent connect` again", err)
	}
	if err != nil {
		return err
	}
	if c.Server != "" {
		i.Server = c.Server
	}
	roots, err := serverRoots(c.CAFile, i.CA)
	if err != nil {
		return err
	}
	client, idle, err := newClient(i.Server, roots)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	a.idle = idle
	if c.Portal.URL == "" {
		c.Portal.URL = i.Portal
	}
	if a.portal, err = newPortal(c.Portal); err != nil {
		return err
	}

	a.met = newMetrics(reg)
	a.portal.log, a.portal.met = a.log, a.met
	a.passes = newPasses(i)
	a.passes.key, a.passes.log, a.passes.met = key, a.log, a.met
	a.passes.ask, a.passes.save, a.passes.fresh = client.RenewPass, a.dir.saveIdentity, a.sendPass
	a.state = newTracker(a.whoAmI, a.storeStatus)
	a.dial = relayDialer(roots, key, tunnel.Config{MaxStreams: c.Portal.MaxStreams, Log: a.log.Named("tunnel")})
	return nil
}

// Run holds the tunnel until ctx ends, and then gives up the data directory.
func (a *Agent) Run(ctx context.Context) error {
	i := a.passes.identity()
	a.log.Info("agent starts", zap.String("device", string(i.Device)), zap.String("site", string(i.Site)),
		zap.String("server", i.Server), zap.String("portal", a.portal.origin.String()), zap.String("version", service.Version))
	a.storeStatus(a.Status())
	var renewing sync.WaitGroup
	renewing.Go(func() { a.passes.keep(ctx) })
	a.hold(ctx)
	a.wg.Wait()
	renewing.Wait()
	a.idle()
	a.log.Info("agent stopped")
	return a.dir.Close()
}

// Close gives up the data directory of an Agent that never ran.
func (a *Agent) Close() error { return a.dir.Close() }

// Status is how the connection stands.
func (a *Agent) Status() Status { return a.state.snapshot() }

// Ready is nil while a tunnel is up.
func (a *Agent) Ready() error {
	if s := a.Status(); s.State != Connected {
		return fmt.Errorf("%s: %s", s.State, s.Reason)
	}
	return nil
}

// StatusPage serves Status as JSON.
func (a *Agent) StatusPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// Who asked is gone if this fails.
	_ = json.NewEncoder(w).Encode(a.Status())
}

func (a *Agent) whoAmI() Status {
	i := a.passes.identity()
	return Status{Device: i.Device, Site: i.Site, Serial: i.Serial, Account: i.Account, Server: i.Server, Version: service.Version}
}

func (a *Agent) storeStatus(s Status) {
	if err := a.dir.writeJSON(stateFile, s); err != nil {
		a.log.Warn("state not stored", zap.Error(err))
	}
}

// sendPass hands a new pass to the relays that hold a tunnel of ours.
func (a *Agent) sendPass(pass string) {
	for _, h := range a.state.tunnels() {
		if err := h.link.SendPass(pass); err != nil {
			a.log.Debug("new pass not sent", zap.String("relay", string(h.relay)), zap.Error(err))
		}
	}
}

// serverRoots are the file's certificates, else the identity's, else nil: the
// system's.
func serverRoots(file, stored string) (*x509.CertPool, error) {
	pem := []byte(stored)
	if file != "" {
		var err error
		if pem, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
	}
	if len(pem) == 0 {
		return nil, nil
	}
	p, err := pool(pem)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	return p, nil
}

// newClient also returns what closes the client's idle connections.
func newClient(server string, roots *x509.CertPool) (c *controlapi.Client, idle func(), err error) {
	t := controlapi.NewTransport(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	c, err = controlapi.NewClient(server, &http.Client{Transport: t})
	return c, t.CloseIdleConnections, err
}
