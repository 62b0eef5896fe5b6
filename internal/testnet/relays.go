package testnet

import (
	"cmp"
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/visitor"
	"trunkline/relay"
)

// WithRelays is for Start: it lets these relays, beside the first, onto the bus.
func (m *More) WithRelays(c *up.Config) {
	c.Bus.Listen = "127.0.0.1:0"
	m.password = filepath.Join(c.Data, "relay-password")
	if err := os.WriteFile(m.password, []byte(rand.Text()), 0o600); err != nil {
		panic("BUG: " + err.Error()) // the directory is the test's own
	}
	for _, r := range m.Names {
		c.Bus.Logins = append(c.Bus.Logins, bus.Login{User: string(r), PasswordFile: m.password, Relay: r})
	}
}

// More is relays that a world has beside its first. They are made one by one,
// by World.Relay.
type More struct {
	Names    []id.Relay
	Dial     string           // where they reach the bus; "": where it listens
	Now      func() time.Time // theirs; nil: time.Now
	password string
}

// Relay is one of them, running.
type Relay struct {
	*relay.Relay
	Name     id.Relay
	Bus      *bus.Bus // its connection
	Registry *prometheus.Registry
	Stop     func() // as SIGTERM would
}

// Relay runs one of m's relays until the test ends. configure may be nil.
func (w *World) Relay(m *More, name id.Relay, configure func(*relay.Config)) *Relay {
	w.T.Helper()
	cfg := relay.Default()
	cfg.Name, cfg.Listen, cfg.Console = name, "127.0.0.1:0", w.Up.ConsoleURL()
	cfg.Drain = relay.Drain{Deadline: time.Second}
	if configure != nil {
		configure(&cfg)
	}
	r := &Relay{Name: name, Bus: w.BusAs(m, name), Registry: prometheus.NewRegistry()}
	var err error
	r.Relay, err = relay.New(relay.Options{Config: cfg, Bus: r.Bus, Certificate: w.Up.CA().Certificate, Log: w.Log, Registerer: r.Registry, Now: m.Now})
	if err != nil {
		w.T.Fatal(err)
	}
	r.Stop = Go(w.T, string(name), r.Run)
	w.Eventually(string(name)+" ready", r.Ready)
	return r
}

// BusAs is a connection to the bus as one of m's relays has it.
func (w *World) BusAs(m *More, name id.Relay) *bus.Bus {
	w.T.Helper()
	b, err := bus.Open(w.T.Context(), bus.Config{URL: "nats://" + cmp.Or(m.Dial, w.Up.BusAddr()), User: string(name), PasswordFile: m.password}, w.Log)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = b.Close() })
	return b
}

// Through has v's connections go to a relay, whatever their address says.
func (w *World) Through(v *visitor.Visitor, relay net.Addr) {
	t := v.Transport.(*http.Transport).Clone()
	t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, relay.String())
	}
	v.CloseIdleConnections()
	v.Transport = t
	w.T.Cleanup(t.CloseIdleConnections)
}
