package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"go.uber.org/zap"

	"trunkline/internal/controlapi"
	"trunkline/internal/tunnel"
)

// line is how control and the relays are reached in one life.
type line struct {
	ask  func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error)
	dial func(ctx context.Context, addr, pass string) (link, error)
	// dialSecond is dial for the second tunnel.
	dialSecond func(ctx context.Context, addr, pass string) (link, error)
	close      func() // what is kept open to control for the next renewal
}

// begin starts a life, which ends with ctx or with the next decision of the
// PBX's staff.
func (a *Agent) begin(ctx context.Context) (life context.Context, end context.CancelCauseFunc) {
	life, end = context.WithCancelCause(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end = end
	return life, end
}

// live holds the tunnel, or waits where there is none to hold, until ctx ends.
func (a *Agent) live(ctx context.Context) {
	if s, why := a.standing(); s != Connecting {
		a.rest(ctx, s, why)
		return
	}
	i := a.passes.identity()
	if err := a.prepare(i); err != nil {
		a.log.Error("not connected", zap.Error(err))
		a.rest(ctx, Rejected, err.Error())
		return
	}
	a.log.Info("connecting", zap.String("device", string(i.Device)), zap.String("site", string(i.Site)),
		zap.String("server", i.Server), zap.String("portal", a.portal.origin.String()))
	a.state.rest(Connecting, "", "")
	a.storeStatus(a.Status())
	var renewing sync.WaitGroup
	renewing.Go(func() { a.passes.keep(ctx) })
	a.hold(ctx)
	a.wg.Wait()
	renewing.Wait()
	a.line.close()
}

// standing is Connecting, or the state in which nothing is to be held and why.
func (a *Agent) standing() (State, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.damage != nil:
		return NotActivated, a.damage.Error()
	case a.passes.identity().Device == "":
		return NotActivated, "This PBX is not connected to a provider yet."
	case a.unread != nil:
		return RemoteAccessOff, a.unread.Error()
	case a.settings.Off:
		return RemoteAccessOff, "It was switched off on this PBX."
	}
	return Connecting, ""
}

func (a *Agent) rest(ctx context.Context, s State, why string) {
	a.state.rest(s, "", why)
	a.storeStatus(a.Status())
	a.log.Info("not connecting", zap.String("state", string(s)), zap.String("reason", why))
	<-ctx.Done()
}

// portalURL is where the PBX's web UI is: as configured, as its staff say, or as
// connect was told; "" for the default.
func (a *Agent) portalURL(i Identity) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return or(a.cfg.Portal.URL, or(a.settings.Portal, i.Portal))
}

// prepare makes what one life needs. Nothing of the last one runs any more.
func (a *Agent) prepare(i Identity) error {
	c := a.cfg.Portal
	c.URL = a.portalURL(i)
	p, err := newPortal(c, a.cfg.dialer())
	if err != nil {
		return err
	}
	p.log, p.met, p.coder = a.log, a.met, a.coder
	s := newSignIn(a.cfg.Portal.Login, p)
	if s.proxy != nil {
		p.proxy = func(ctx context.Context, h tunnel.Header, stream, first net.Conn) {
			s.proxy.Serve(ctx, stream, first, p.dial, func() (string, bool) {
				return h.Who, h.Method == methodPasswordless && a.passwordless()
			})
		}
	}
	l, err := a.reach(i, a.passes.key)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.portal, a.signIn = p, s
	a.mu.Unlock()
	a.line, a.relays, a.old, a.passes.ask = l, relays{}, nil, l.ask
	return nil
}

func (a *Agent) lineOf(i Identity, key ed25519.PrivateKey) (line, error) {
	roots, err := serverRoots(a.cfg.CAFile, i.CA)
	if err != nil {
		return line{}, err
	}
	client, idle, err := newClient(i.Server, roots)
	if err != nil {
		return line{}, fmt.Errorf("server: %w", err)
	}
	// As many may wait for a slot.
	conf := tunnel.Config{MaxStreams: 2 * a.cfg.Portal.MaxStreams}
	return line{ask: client.RenewPass, dial: relayDialer(a.cfg.dialer(), roots, key, conf, tunnel.Dial),
		dialSecond: relayDialer(a.cfg.dialer(), roots, key, conf, tunnel.DialSecond), close: idle}, nil
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
