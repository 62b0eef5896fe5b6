package configs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"strings"
	"testing"

	"trunkline/control"
	"trunkline/internal/service"
	"trunkline/internal/testnet"
)

// One machine runs from its file, every setting of it said: a PBX is connected and
// visited.
func TestOneMachine(t *testing.T) {
	s := newSite(t)
	data := filepath.Join(s.dir, "data")
	text := replace(t, "up.yaml", string(uncommented([]byte(readFile(t, "up.yaml")))),
		"\ndata: data\n", "\ndata: "+data+"\n",
		"listen: :8443", "listen: "+s.own("balancer", "443"),
		"127.0.0.1:9701", s.own("balancer", "9701"), "127.0.0.1:9702", s.own("balancer", "9702"))
	file := filepath.Join(s.dir, "up.yaml")
	write(t, file, text)
	testnet.Go(t, "up", func(ctx context.Context) error { return trunkline(ctx, "up", "--config", file) })
	for _, admin := range []string{"9701", "9702"} {
		testnet.Eventually(t, "ready at "+admin, func() error { return service.Ready(t.Context(), s.own("balancer", admin)) })
	}

	s.ca = filepath.Join(data, "tls", "ca.pem") // its own
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(readFile(t, s.ca))) {
		t.Fatalf("%s has no certificate", s.ca)
	}
	s.tls = &tls.Config{RootCAs: pool}
	secret := strings.TrimSpace(readFile(t, filepath.Join(data, control.PasswordFile)))
	api := s.signIn(t, "admin@trunkline.local", secret)
	d := s.connect(t, api, "admin@trunkline.local", secret)
	s.sees(t, "the one machine", s.enter(t, api, d, s.through(t, "balancer")))
}
