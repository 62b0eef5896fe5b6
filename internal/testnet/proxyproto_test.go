package testnet_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/controlapi"
	"trunkline/internal/testnet"
)

// haproxy passes TCP on as the load balancer in configs does, from an address of
// its own, and has a page that says it is there.
const haproxyConf = `
global
  maxconn 200
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend public
  bind %[1]s
  default_backend relays
backend relays
  source 127.0.0.2
  server relay-1 %[2]s %[3]s
frontend itself
  mode http
  bind %[4]s
  monitor-uri /up
`

// Behind HAProxy, everything knows who its clients are: tunnels, the console and
// visits; and nobody else can say who they are.
func TestBehindHAProxy(t *testing.T) {
	for _, version := range []string{"send-proxy", "send-proxy-v2"} {
		t.Run(version, func(t *testing.T) { behindHAProxy(t, version) })
	}
}

func behindHAProxy(t *testing.T, version string) {
	path, dir := need(t, "haproxy"), t.TempDir()
	public, relay, itself := freeAddr(t), freeAddr(t), freeAddr(t)
	conf := filepath.Join(dir, "haproxy.cfg")
	write(t, conf, fmt.Sprintf(haproxyConf, public, relay, version, itself))
	serve(t, "http://"+itself+"/up", path, "-db", "-f", conf)
	port := netip.MustParseAddrPort(public).Port()
	w := testnet.Start(t, func(c *up.Config) {
		c.Listen, c.Relay.Port, c.Relay.Advertise = relay, int(port), []string{fmt.Sprintf("localhost:%d", port)}
		c.Relay.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	})
	p := w.Connect("PROXY001", w.Portal(nil).URL())
	if d := p.AwaitStatus(controlapi.StatusConnected); !strings.HasPrefix(d.Remote, "127.0.0.1:") {
		t.Errorf("the agent is at %s", d.Remote)
	}
	v := p.Visit()
	if _, err := v.Fetch(t.Context(), "/"); err != nil {
		t.Error(err)
	}
	w.Eventually("the visit is known", func() error {
		vs, err := w.API.Visits(t.Context(), controlapi.VisitQuery{})
		if err == nil && (len(vs.Items) != 1 || vs.Items[0].Remote != "127.0.0.1") {
			err = fmt.Errorf("visits: %+v", vs.Items)
		}
		return err
	})

	// From elsewhere than the balancer no header is wanted, and none believed.
	direct := func(from, header string) error {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: testnet.Patience}
		raw, err := d.DialContext(t.Context(), "tcp", relay)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if err := raw.SetDeadline(time.Now().Add(testnet.Patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(raw, header); err != nil {
			return err
		}
		cfg := w.TLS.Clone()
		cfg.ServerName = "console.localhost"
		return tls.Client(raw, cfg).HandshakeContext(t.Context())
	}
	const forged = "PROXY TCP4 203.0.113.7 198.51.100.1 40000 8443\r\n"
	if err := direct("127.0.0.1", ""); err != nil {
		t.Errorf("a direct connection: %v", err)
	}
	if err := direct("127.0.0.1", forged); err == nil {
		t.Error("a stranger's header was taken")
	}
	if err := direct("127.0.0.2", forged); err != nil {
		t.Errorf("the balancer's header: %v", err)
	}
	if err := direct("127.0.0.2", ""); err == nil {
		t.Error("a connection of the balancer's without a header was taken")
	}
	counted(t, w, `trunkline_relay_connections_total\{kind="unproxied"\} 1`) // the operator can see it
}

// counted waits until the relay's metrics have a line that matches.
func counted(t *testing.T, w *testnet.World, line string) {
	t.Helper()
	want := regexp.MustCompile(`(?m)^` + line)
	w.Eventually(line, func() error {
		resp, err := http.Get("http://" + w.Up.AdminAddrs()[1].String() + "/metrics")
		if err != nil {
			return err
		}
		b, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return err
		}
		if !want.Match(b) {
			return errors.New("not in the metrics")
		}
		return nil
	})
}
