package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"trunkline/internal/cork"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/service"
	"trunkline/internal/tunnel"
)

// dialTimeout is for all of TCP, TLS and hello.
const dialTimeout = 20 * time.Second

// link is a tunnel to a relay: *tunnel.Agent, and a fake in tests.
type link interface {
	Welcome() tunnel.Welcome
	Run(context.Context, tunnel.AgentHandlers) error
	SendStatus(tunnel.Status) error
	SendPass(pass string) error
	EndVisit(id.Visit) error
	Doubtful() bool
	Leave(context.Context, *fault.Error) error
}

// helloFunc is tunnel.Dial or tunnel.DialSecond.
type helloFunc func(context.Context, *tls.Conn, tunnel.Config, string, ed25519.PrivateKey, tunnel.AgentInfo) (*tunnel.Agent, error)

// relayDialer makes links. A nil pool is the system's roots.
func relayDialer(dial dialFunc, roots *x509.CertPool, key ed25519.PrivateKey, conf tunnel.Config, hello helloFunc) func(ctx context.Context, addr, pass string) (link, error) {
	info := tunnel.AgentInfo{Version: service.Version, OS: runtime.GOOS, Arch: runtime.GOARCH}
	return func(ctx context.Context, addr, pass string) (link, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("relay %s: %w", addr, err)
		}
		raw, err := dial(ctx, "tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("relay %s: %w", addr, err)
		}
		c := tls.Client(cork.New(raw), &tls.Config{
			ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS13, NextProtos: []string{tunnel.ALPN},
		})
		err = c.HandshakeContext(ctx)
		switch {
		case err == nil && c.ConnectionState().NegotiatedProtocol != tunnel.ALPN:
			raw.Close()
			return nil, fmt.Errorf("relay %s: what answers there is no Trunkline relay", addr)
		case err != nil:
			raw.Close()
			return nil, fmt.Errorf("relay %s: %w", addr, explain(err, time.Now()))
		}
		// Dial owns c from here on.
		a, err := hello(ctx, c, conf, pass, key, info)
		if err != nil {
			return nil, fmt.Errorf("relay %s: %w", addr, err)
		}
		return a, nil
	}
}

// pool reads certificates to trust from PEM.
func pool(pem []byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in PEM form in it")
	}
	return p, nil
}

// errNoRelay means that control knows of no relay that lives.
var errNoRelay = fault.New(fault.Unavailable, "The provider has no relay in service just now.")
