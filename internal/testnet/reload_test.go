package testnet_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"testing"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/fault"
	"trunkline/internal/testnet"
)

// What can change while all runs does, and the process is alive all along.
func TestReload(t *testing.T) {
	var cfg up.Config
	w := testnet.Start(t, func(c *up.Config) { cfg = *c })
	reload := func(change func(*up.Config)) {
		t.Helper()
		change(&cfg)
		if err := w.Up.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience)
		defer cancel()
		if err := w.Up.Alive(ctx); err != nil {
			t.Error(err)
		}
	}
	portal := w.Portal(nil).URL()
	first := w.Connect("RELOAD01", portal)

	reload(func(c *up.Config) { c.Relay.Tunnels.Max = 1 })
	second := w.Activate("RELOAD02", portal)
	second.Run()
	counted(t, w, `trunkline_relay_tunnels_refused_total\{code="too_many_requests"\} [1-9]`)
	reload(func(c *up.Config) { c.Relay.Tunnels.Max = 2 })
	second.Stop()
	second.Run() // it would come by itself, in a minute
	second.AwaitStatus("connected")

	// From here on every connection of this machine is a load balancer's.
	from := func(addr string) error {
		d := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: testnet.Patience}, Config: w.TLS.Clone()}
		d.Config.ServerName = "console.localhost"
		c, err := d.DialContext(t.Context(), "tcp", w.Up.Relay.Addr().String())
		if err == nil {
			err = c.Close()
		}
		return err
	}
	if err := from("127.0.0.2"); err != nil {
		t.Error(err)
	}
	reload(func(c *up.Config) { c.Relay.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")} })
	if err := from("127.0.0.2"); err == nil {
		t.Error("a load balancer's connection without a header was taken")
	}
	reload(func(c *up.Config) { c.Relay.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	reload(func(c *up.Config) { c.Relay.ProxyProtocol = nil })

	// Visits went on.
	if _, err := first.Visit().Fetch(t.Context(), "/"); err != nil {
		t.Error(err)
	}

	reload(func(c *up.Config) { c.Control.Limits.Address = 1 })
	stranger := w.Client()
	w.Eventually("strangers are limited", func() error {
		_, err := stranger.SignIn(t.Context(), "nobody@example.com", "not a password at all")
		if fault.CodeOf(err) != fault.TooMany {
			return errors.New("not yet")
		}
		return nil
	})
}
