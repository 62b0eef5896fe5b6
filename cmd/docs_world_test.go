package cmd_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/controlapi"
	"trunkline/internal/pbxsim"
)

// provider is whose pages are followed: an installation that runs.
type provider struct {
	t        *testing.T
	up       installation
	data     string
	address  string // of the console, host:port
	tls      *tls.Config
	client   *controlapi.Client // nobody's
	owner    *controlapi.Client // you@example.com's
	password string             // a file
}

// What the pages call the provider's console, and the page and the admin
// listener of a PBX's agent.
const (
	pageConsole = "console.pbx.example.com:8443"
	pageListen  = "127.0.0.1:9700"
	pageAdmin   = "127.0.0.1:9703"
)

func newProvider(t *testing.T, control string) *provider {
	t.Helper()
	p := &provider{t: t, data: filepath.Join(t.TempDir(), "data")}
	p.run(control)
	return p
}

// run runs it, on another port each time, and signs the owner in.
func (p *provider) run(control string) {
	t := p.t
	t.Helper()
	p.up = runInstallation(t, p.data, "first_admin: you@example.com, "+control)
	p.address, p.password = fmt.Sprintf("console.localhost:%d", p.up.port), filepath.Join(p.data, "admin-password")
	pem, err := os.ReadFile(p.ca())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	p.tls = &tls.Config{RootCAs: pool}
	transport := controlapi.NewTransport(p.tls)
	t.Cleanup(transport.CloseIdleConnections)
	if p.client, err = controlapi.NewClient("https://"+p.address, &http.Client{Transport: transport}); err != nil {
		t.Fatal(err)
	}
	p.owner = p.signIn("you@example.com", readSecret(t, p.password))
}

func (p *provider) ca() string { return filepath.Join(p.data, "tls", "ca.pem") }

func (p *provider) signIn(email, password string) *controlapi.Client {
	p.t.Helper()
	session, err := p.client.SignIn(p.t.Context(), email, password)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.client.WithToken(session.Token)
}

func readSecret(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// pbx is a machine with a portal, and an agent's configuration at the place
// that the pages name. Its provider's certificate is one of a known authority.
func (p *provider) pbx(c pbxsim.Config, config string, names ...string) (*machine, *pbxsim.Portal) {
	p.t.Helper()
	portal, err := pbxsim.New(c, zap.NewNop())
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(p.t.Context()))
	done := make(chan error, 1)
	go func() { done <- portal.Run(ctx) }()
	p.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			p.t.Errorf("portal: %v", err)
		}
	})
	// There is no terminal: the password that connect asks for is in a file.
	local := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort()) }
	m := newMachine(p.t, []string{"SSL_CERT_FILE=" + p.ca()}, append(names, pageConsole, p.address, pageListen, local(), pageAdmin, local(),
		"--email you@example.com", "--email you@example.com --password-file "+p.password)...)
	m.write("/etc/trunkline/agent.yaml", fmt.Sprintf("data: /var/lib/trunkline-agent\npage: {listen: %q}\nadmin: %q\nportal:\n  url: %s\n%s",
		pageListen, pageAdmin, portal.URL(), config))
	return m, portal
}

// devices waits until the console's list is as a page says.
func (p *provider) devices(query controlapi.DeviceQuery, is func([]controlapi.Device) bool) []controlapi.Device {
	p.t.Helper()
	for late := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		page, err := p.owner.Devices(p.t.Context(), query)
		if err == nil && is(page.Items) {
			return page.Items
		}
		if time.Now().After(late) {
			p.t.Fatalf("the list of devices does not become what the page says: %v\n%+v", err, page.Items)
		}
	}
}

// desk is where somebody of the provider works with curl, in a directory, with
// an API token.
func (p *provider) desk(dir string, scopes ...string) *machine {
	p.t.Helper()
	token, err := p.owner.AddToken(p.t.Context(), controlapi.NewToken{Name: "desk", Scopes: scopes, LifeSeconds: 3600})
	if err != nil {
		p.t.Fatal(err)
	}
	m := newMachine(p.t, []string{"TRUNKLINE=https://" + p.address, "TOKEN=" + token.Secret, "CURL_CA_BUNDLE=" + p.ca(), "NO_PROXY=localhost"},
		"https://console.pbx.example.com", "https://"+p.address)
	m.root = dir
	return m
}
