package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"

	"trunkline/bench/load"
)

// webServer is a process that takes browsers' requests on two ports, which
// answer to host.
type webServer struct {
	*child
	far                *child // of a tunnel, its other end
	host               string // in its certificate
	portPlain, portTLS string
}

func (s *webServer) endpoint(edge string) load.Endpoint {
	if edge == edgeHTTP {
		return load.Endpoint{Scheme: "http", Host: s.host, Port: s.portPlain}
	}
	return load.Endpoint{Scheme: "https", Host: s.host, Port: s.portTLS}
}

// awaitPort waits until somebody accepts on a port of loopback.
func (c *child) awaitPort(ctx context.Context, port string) error {
	return c.await(ctx, startTime, func() error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", loopback(port))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// lookup finds a Debian program, servers also where only root's PATH leads.
func lookup(name string) (string, error) {
	for _, at := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(at); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing; install it with: make bench-deps", name)
}

// leafPEM is a leaf of the installation's CA for one name.
func leafPEM(w *world, host string) (cert, key []byte, err error) {
	leaf, err := w.ca.Certificate(&tls.ClientHelloInfo{ServerName: host})
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]})
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
