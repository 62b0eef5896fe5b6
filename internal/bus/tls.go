package bus

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/internal/certfile"
)

// serverTLS is nil without a certificate. That is looked at at each handshake,
// which are few: a renewed one needs no restart.
func (c Config) serverTLS(failures prometheus.Counter, log *zap.Logger) (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	pair, err := certfile.Open(certfile.Options{Cert: c.CertFile, Key: c.KeyFile, Failures: failures, Log: log})
	if err != nil {
		return nil, fmt.Errorf("bus: certificate: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: pair.Server}, nil
}

// clientTLS is empty if nothing asks for TLS but perhaps the URL or the server.
// Both files are read again for each connection, so that neither a renewed
// certificate nor a new authority needs a restart.
func (c Config) clientTLS(failures prometheus.Counter, log *zap.Logger) ([]nats.Option, error) {
	if c.CAFile == "" && c.CertFile == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS13}
	if c.CertFile != "" {
		pair, err := certfile.Open(certfile.Options{Cert: c.CertFile, Key: c.KeyFile, Failures: failures, Log: log})
		if err != nil {
			return nil, fmt.Errorf("bus: certificate: %w", err)
		}
		t.GetClientCertificate = pair.Client
	}
	opts := []nats.Option{nats.Secure(t)}
	if c.CAFile == "" {
		return opts, nil
	}
	roots, err := readRoots(c.CAFile)
	if err != nil {
		return nil, err
	}
	return append(opts, nats.ClientTLSConfig(nil, func() (*x509.CertPool, error) {
		next, err := readRoots(c.CAFile)
		if err != nil {
			failures.Inc()
			log.Warn("the new authorities cannot be used; those before go on", zap.Error(err))
			return roots, nil
		}
		roots = next // the client makes one connection at a time
		return roots, nil
	})), nil
}

func readRoots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("bus: ca_file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("bus: ca_file: no certificate in %s", path)
	}
	return roots, nil
}
