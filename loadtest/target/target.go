// Package target is the installation that a load test is put on: one that runs
// already, or one that it starts itself, of real processes.
package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"

	"trunkline/internal/controlapi"
)

// Target is an installation and who signs in to it.
type Target struct {
	Server string // the console's URL
	CAFile string // PEM; "": the system's roots
	TLS    *tls.Config
	API    *controlapi.Client // signed in
	Token  string             // secret: API's
	Ways   Ways
	Relays []Relay // that are watched

	transport *http.Transport
	signOut   bool
	anonymous *controlapi.Client
	login     Login
}

// Login is an API token with the scopes devices:read, devices:write and
// visits:write; or an owner's or admin's e-mail address and password.
type Login struct {
	Token           string // secret
	Email, Password string // secret
}

// Open signs in to the installation whose console is at server.
func Open(ctx context.Context, server, caFile string, l Login, relays []Relay) (*Target, error) {
	t := &Target{
		Server: server, CAFile: caFile, Relays: relays,
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1024)},
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		t.TLS.RootCAs = x509.NewCertPool()
		if !t.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: no certificate in %s", caFile)
		}
	}
	t.transport = controlapi.NewTransport(t.TLS.Clone()) // a transport writes to its configuration
	t.transport.MaxIdleConnsPerHost = 16
	c, err := controlapi.NewClient(server, &http.Client{Transport: t.transport})
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	t.anonymous, t.login = c, l
	if l.Token != "" {
		t.API, t.Token = c.WithToken(l.Token), l.Token
		// It says now what would be refused later.
		if _, err := t.API.Devices(ctx, controlapi.DeviceQuery{}); err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		return t, nil
	}
	session, err := c.SignIn(ctx, l.Email, l.Password)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	t.API, t.Token, t.signOut = c.WithToken(session.Token), session.Token, true
	return t, nil
}

// Close signs out and lets go of connections.
func (t *Target) Close(ctx context.Context) error {
	defer t.transport.CloseIdleConnections()
	if !t.signOut {
		return nil
	}
	if err := t.API.SignOut(ctx); err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	return nil
}

// Room reports that the licence has no room for so many sites more.
func (t *Target) Room(ctx context.Context, sites int) error {
	s, err := t.API.Subscription(ctx)
	if err != nil {
		return nil // a token need not have the right to know; control will say
	}
	if left := s.Connections - s.Used - s.Allotted; left < sites {
		return fmt.Errorf("the installation has %d connections left, and the scenario takes %d; give --devices, or a larger licence", max(left, 0), sites)
	}
	return nil
}

var errEnded = errors.New("it has ended")
