package configs_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/agent"
	"trunkline/internal/controlapi"
	"trunkline/internal/pbxsim"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// signIn waits until the console answers.
func (s *site) signIn(t *testing.T, email, secret string) *controlapi.Client {
	t.Helper()
	tr := controlapi.NewTransport(s.tls)
	t.Cleanup(tr.CloseIdleConnections)
	api, err := controlapi.NewClient(s.console(), &http.Client{Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	testnet.Eventually(t, "sign in", func() error {
		session, err := api.SignIn(t.Context(), email, secret)
		if err == nil {
			api = api.WithToken(session.Token)
		}
		return err
	})
	return api
}

// connect activates a PBX and waits until its agent is connected.
func (s *site) connect(t *testing.T, api *controlapi.Client, email, secret string) controlapi.Device {
	t.Helper()
	portal, err := pbxsim.New(pbxsim.Config{
		Listen: "127.0.0.1:0", Serial: "3631A20C0042", Model: testnet.Model, Firmware: testnet.Firmware, Name: "Acme Ltd",
		SuperAdmin: testnet.SuperUser, SuperPassword: testnet.SuperPassword, Admin: testnet.AdminUser, AdminPassword: testnet.AdminPassword,
	}, s.log)
	if err != nil {
		t.Fatal(err)
	}
	testnet.Go(t, "portal", portal.Run)
	cfg := agent.Default()
	cfg.Data, cfg.Admin, cfg.Page.Listen, cfg.Dial = filepath.Join(s.dir, "agent"), agent.AdminOff, agent.PageOff, s.dial
	i, err := agent.Activate(t.Context(), agent.Activation{
		Data: cfg.Data, Server: s.console(), CAFile: s.ca, Email: email, Password: secret,
		Serial: "3631A20C0042", Model: testnet.Model, Firmware: testnet.Firmware, Portal: portal.URL(),
	}, s.log)
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.NewService(cfg, s.log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	testnet.Go(t, "agent", a.Run)
	var d controlapi.Device
	testnet.Eventually(t, "the PBX is connected", func() (err error) {
		if d, err = api.Device(t.Context(), i.Device); err == nil && (d.Status != controlapi.StatusConnected || d.Relay == "") {
			err = fmt.Errorf("it is %s (%s)", d.Status, d.Reason)
		}
		return err
	})
	return d
}

// dial is the DNS: a relay's name is its machine, and all others the balancer.
func (s *site) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	for name, machine := range s.names {
		if rest, ok := strings.CutPrefix(addr, name+".localhost:"); ok {
			addr = net.JoinHostPort(hosts[machine], rest)
		}
	}
	return controlapi.LoopbackDialer()(ctx, network, addr)
}

// through reaches all hosts at one machine's relay.
func (s *site) through(t *testing.T, machine string) *http.Transport {
	tr := controlapi.NewTransport(s.tls)
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.own(machine, "443"))
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// enter opens a visit to a PBX, at wherever tr leads.
func (s *site) enter(t *testing.T, api *controlapi.Client, d controlapi.Device, tr *http.Transport) *visitor.Visitor {
	t.Helper()
	start, err := api.StartVisit(t.Context(), controlapi.VisitRequest{Device: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(start.URL)
	if err != nil {
		t.Fatal(err)
	}
	v, err := visitor.New(s.tls, u.Scheme+"://"+u.Host)
	if err != nil {
		t.Fatal(err)
	}
	v.Transport = tr
	resp, err := v.Redeem(t.Context(), s.console(), start.URL, start.Handover)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("redeem handover: %s", resp.Status)
	}
	return v
}

// balanced waits until the balancer has found a relay that is ready: it looks
// every few seconds, and closes what it has nobody for.
func (s *site) balanced(t *testing.T) {
	t.Helper()
	tr := controlapi.NewTransport(s.tls)
	defer tr.CloseIdleConnections()
	testnet.Eventually(t, "a relay through the load balancer", func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://any-site.localhost:"+s.ports["443"]+"/", nil)
		if err != nil {
			return err
		}
		resp, err := tr.RoundTrip(r)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	})
}

// sees gets a page of the portal.
func (s *site) sees(t *testing.T, by string, v *visitor.Visitor) {
	t.Helper()
	page, err := v.Fetch(t.Context(), "/login")
	if err == nil && !bytes.Contains(page, []byte("<html")) {
		err = fmt.Errorf("it is %.100q", page)
	}
	if err != nil {
		t.Errorf("the portal through %s: %v", by, err)
	}
}
