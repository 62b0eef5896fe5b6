package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"trunkline/bench/portal"
	"trunkline/internal/service"
	"trunkline/internal/tunnel"
)

// childArg as the first argument makes this program one of bench's own
// children, which the second argument names. What it needs comes as JSON on
// standard input (there are secrets in it); when it is ready it writes a line
// of JSON to standard output.
const childArg = "bench-child"

func runChild(ctx context.Context, name string) error {
	switch name {
	case "portal":
		return portalChild(ctx)
	case "tunnels":
		return tunnelsChild(ctx)
	}
	return fmt.Errorf("no child is called %q", name)
}

type portalOrder struct{ Cert, Key []byte } // PEM

type portalReady struct{ Plain, TLS string } // addresses

func portalChild(ctx context.Context) error {
	var order portalOrder
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	cert, err := tls.X509KeyPair(order.Cert, order.Key)
	if err != nil {
		return err
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	secret, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go portal.Serve(plain)
	go portal.Serve(portal.TLS(secret, cert))
	if err := json.NewEncoder(os.Stdout).Encode(portalReady{plain.Addr().String(), secret.Addr().String()}); err != nil {
		return err
	}
	<-ctx.Done()
	return errors.Join(plain.Close(), secret.Close())
}

type tunnelsOrder struct {
	Relay   string // host:port
	Name    string // in the relay's certificate
	CA      []byte // PEM
	Devices []tunnelDevice
}

type tunnelDevice struct {
	Seed []byte // of the device's key
	Pass string
}

type tunnelsReady struct{ Tunnels int }

// dialing bounds the handshakes under way: the relay sheds what is too many.
const dialing = 16

// tunnelsChild holds a tunnel for every device, with a portal at its end.
func tunnelsChild(ctx context.Context) error {
	var order tunnelsOrder
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(order.CA) {
		return errors.New("no certificate in the order")
	}
	conf := &tls.Config{RootCAs: pool, ServerName: order.Name, NextProtos: []string{tunnel.ALPN}, MinVersion: tls.VersionTLS13}
	ended := make(chan error, len(order.Devices))
	var g errgroup.Group
	g.SetLimit(dialing)
	for _, d := range order.Devices {
		g.Go(func() error {
			a, err := dialTunnel(ctx, order.Relay, conf, d)
			if err != nil {
				return err
			}
			go func() { ended <- a.Run(ctx, tunnel.AgentHandlers{OnStream: serveStream}) }()
			return a.SendStatus(tunnel.Status{Portal: tunnel.Portal{Origin: "http://127.0.0.1"}})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(tunnelsReady{len(order.Devices)}); err != nil {
		return err
	}
	select {
	case err := <-ended:
		if ctx.Err() == nil { // a tunnel less would be memory less
			return fmt.Errorf("a tunnel ended: %w", err)
		}
	case <-ctx.Done():
	}
	return nil
}

func dialTunnel(ctx context.Context, addr string, conf *tls.Config, d tunnelDevice) (*tunnel.Agent, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial relay: %w", err)
	}
	info := tunnel.AgentInfo{Version: service.Version, OS: "linux", Arch: "bench"}
	a, err := tunnel.Dial(ctx, tls.Client(raw, conf), tunnel.Config{}, d.Pass, ed25519.NewKeyFromSeed(d.Seed), info)
	if err != nil {
		return nil, fmt.Errorf("open tunnel: %w", err)
	}
	return a, nil
}

func serveStream(ctx context.Context, _ tunnel.Header, c net.Conn) {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if tunnel.AcceptStream(c) == nil {
		portal.ServeConn(c)
	}
}
