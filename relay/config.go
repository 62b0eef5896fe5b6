package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/service"
	"trunkline/relay/edge"
	"trunkline/relay/uplink"
)

// Config is a relay's configuration file.
type Config struct {
	Name      id.Relay          `yaml:"name"`      // unique among the relays
	Listen    string            `yaml:"listen"`    // public TLS: tunnels and browsers, split by ALPN and host
	Advertise []string          `yaml:"advertise"` // host:port where agents dial this relay; default: zone and listen's port
	Zone      string            `yaml:"zone"`      // sites are <site>.<zone>
	Port      int               `yaml:"port"`      // the port browsers use, if not listen's: behind a load balancer
	Console   string            `yaml:"console"`   // the console's URL, for links on error pages; default https://console.<zone>
	CertFile  string            `yaml:"cert_file"` // for *.<zone> and the advertised names
	KeyFile   string            `yaml:"key_file"`
	CADir     string            `yaml:"ca_dir"` // of a self-made CA, instead of certificate files
	Admin     string            `yaml:"admin"`  // health, metrics, profiles
	Edge      Edge              `yaml:"edge"`
	Tunnels   uplink.Config     `yaml:"tunnels"`
	Drain     Drain             `yaml:"drain"`
	Bus       bus.Config        `yaml:"bus"`
	Log       service.LogConfig `yaml:"log"`
}

// Edge is the browsers' side.
type Edge struct {
	HTTPListen     string         `yaml:"http_listen"`     // plain HTTP, for a load balancer that terminates TLS; "" is off
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"` // who may connect there and is believed about the client's address
	Limits         edge.Limits    `yaml:"limits"`
}

// Drain is what SIGTERM does.
type Drain struct {
	Deadline time.Duration `yaml:"deadline"` // then what still runs is cut
	Spread   time.Duration `yaml:"spread"`   // agents move at random moments of it
}

// Default is what a key that the file does not mention means.
func Default() Config {
	return Config{
		Name: "relay-1", Listen: ":8443", Zone: "localhost", Admin: "127.0.0.1:9702",
		Edge: Edge{
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		},
		Tunnels: uplink.Default(),
		Drain:   Drain{Deadline: 5 * time.Minute, Spread: 20 * time.Second},
		Log:     service.LogConfig{Level: "info", Format: "json"},
	}
}

// Validate names the key that is wrong.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var name id.Relay
	if name.UnmarshalText([]byte(c.Name)) != nil {
		bad("name: %q is no DNS label", c.Name)
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen: %w", err)
	}
	if c.Zone == "" {
		bad("zone: missing")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		bad("cert_file and key_file: give both or neither")
	}
	for _, a := range c.Advertise {
		if _, _, err := net.SplitHostPort(a); err != nil {
			bad("advertise: %w", err)
		}
	}
	if c.Tunnels.Max < 1 {
		bad("tunnels.max: need at least 1")
	}
	if c.Tunnels.Window < 256<<10 {
		bad("tunnels.window: need at least 262144, the protocol's own")
	}
	if c.Drain.Deadline < 0 || c.Drain.Spread < 0 {
		bad("drain: a time cannot be negative")
	}
	return errors.Join(errs...)
}
