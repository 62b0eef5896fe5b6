package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/service"
	"trunkline/internal/trace"
	"trunkline/relay/edge"
	"trunkline/relay/peer"
	"trunkline/relay/uplink"
)

// Config is a relay's configuration file.
type Config struct {
	Name      id.Relay          `yaml:"name"`      // unique among the relays
	Listen    string            `yaml:"listen"`    // public TLS: tunnels and browsers, split by ALPN and host
	Advertise []string          `yaml:"advertise"` // host:port where agents dial this relay; default: zone and listen's port
	Region    string            `yaml:"region"`    // where it is, as the operator calls that; agents go to another one of theirs first
	Labels    map[string]string `yaml:"labels"`    // whatever else the operator says of it, for the list of relays
	Zone      string            `yaml:"zone"`      // sites are <site>.<zone>
	Port      int               `yaml:"port"`      // the port browsers use, if not listen's: behind a load balancer
	Console   string            `yaml:"console"`   // the console's URL, for links on error pages; default https://console.<zone> and the port
	CertFile  string            `yaml:"cert_file"` // for *.<zone> and the advertised names
	KeyFile   string            `yaml:"key_file"`
	CADir     string            `yaml:"ca_dir"` // of a self-made CA, instead of certificate files
	Admin     string            `yaml:"admin"`  // health, metrics, profiles; "" is off
	Edge      Edge              `yaml:"edge"`
	Tunnels   uplink.Config     `yaml:"tunnels"`
	Drain     Drain             `yaml:"drain"`
	Peer      peer.Config       `yaml:"peer"`
	Bus       bus.Config        `yaml:"bus"`
	Log       service.LogConfig `yaml:"log"`
	Traces    trace.Config      `yaml:"traces"`

	// ProxyProtocol is whose connections to Listen begin with a PROXY header,
	// which says who the client is: load balancers that pass TCP on.
	ProxyProtocol []netip.Prefix `yaml:"proxy_protocol"`
}

// Edge is the browsers' side.
type Edge struct {
	HTTP2          bool           `yaml:"http2"`           // offered to browsers beside HTTP/1.1
	AccessLog      int            `yaml:"access_log"`      // one of so many requests that went well and quickly is logged; 0: none
	HTTPListen     string         `yaml:"http_listen"`     // plain HTTP, for a load balancer that terminates TLS; "" is off
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"` // who may connect there and is believed about the client's address
	Limits         edge.Limits    `yaml:"limits"`
}

// Drain is what SIGTERM does.
type Drain struct {
	Linger   time.Duration `yaml:"linger"`   // from being not ready to the listeners' close, for who sends browsers here to look
	Deadline time.Duration `yaml:"deadline"` // then what still runs is cut
	Spread   time.Duration `yaml:"spread"`   // agents move at random moments of it
}

// Default is what a key that the file does not mention means.
func Default() Config {
	return Config{
		Name: "relay-1", Listen: ":8443", Zone: "localhost", Admin: "127.0.0.1:9702",
		Edge: Edge{
			HTTP2: true, AccessLog: 1,
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			Limits: edge.Limits{
				Header: 10 * time.Second, Idle: 75 * time.Second, Progress: 5 * time.Minute, Dial: 10 * time.Second,
				Answer: time.Minute, Upgrade: time.Hour, HeadSize: 16 << 10, Conns: 1 << 16,
				StreamIdle: 25 * time.Second, StreamsPerDevice: 256, IdlePerDevice: 32,
			},
		},
		Tunnels: uplink.Default(),
		Drain:   Drain{Linger: 10 * time.Second, Deadline: 5 * time.Minute, Spread: 20 * time.Second},
		Peer:    peer.Default(),
		Log:     service.LogConfig{Level: "info", Format: "json"},
		Traces:  trace.Config{Sample: 1},
	}
}

// Validate names the key that is wrong.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	bad("name", new(id.Relay).UnmarshalText([]byte(c.Name)))
	bad("listen", address(c.Listen))
	for _, a := range c.Advertise {
		bad("advertise", address(a))
	}
	if c.Region != "" {
		bad("region", hostName(c.Region))
	}
	bad("labels", bus.CheckLabels(c.Labels))
	bad("zone", hostName(c.Zone))
	if c.Port < 0 || c.Port > 65535 {
		bad("port", fmt.Errorf("%d is no port", c.Port))
	}
	if c.Console != "" {
		bad("console", origin(c.Console))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		bad("cert_file and key_file", errors.New("give both or neither"))
	}
	if c.CertFile != "" && c.CADir != "" {
		bad("ca_dir", errors.New("give it or cert_file, not both"))
	}
	if c.Admin != "" {
		bad("admin", address(c.Admin))
	}
	c.Edge.check(bad)
	checkTunnels(c.Tunnels, bad)
	if c.Drain.Linger < 0 {
		bad("drain.linger", errors.New("a time cannot be negative"))
	}
	if c.Drain.Deadline < 0 {
		bad("drain.deadline", errors.New("a time cannot be negative"))
	}
	if c.Drain.Spread < 0 {
		bad("drain.spread", errors.New("a time cannot be negative"))
	}
	if c.Peer.Advertise != "" {
		bad("peer.advertise", address(c.Peer.Advertise))
	}
	if c.Peer.Links < 1 || c.Peer.Links > peer.MaxLinks {
		bad("peer.links", fmt.Errorf("need 1 to %d", peer.MaxLinks))
	}
	bad("traces", c.Traces.Validate())
	if err := c.Bus.Validate(); err != nil {
		errs = append(errs, err) // it begins with the key
	}
	return errors.Join(errs...)
}

func (e Edge) check(bad func(key string, err error)) {
	if e.HTTPListen != "" {
		bad("edge.http_listen", address(e.HTTPListen))
	}
	if e.AccessLog < 0 {
		bad("edge.access_log", errors.New("need 1 for all requests, or 0 for those that failed or were slow"))
	}
	l := e.Limits
	for key, d := range map[string]time.Duration{
		"header": l.Header, "idle": l.Idle, "progress": l.Progress, "dial": l.Dial, "answer": l.Answer, "upgrade": l.Upgrade,
		"stream_idle": l.StreamIdle,
	} {
		if d <= 0 {
			bad("edge.limits."+key, errors.New("need a time longer than 0"))
		}
	}
	for key, n := range map[string]int{
		"streams_per_account": l.StreamsPerAccount, "opens_per_device": l.OpensPerDevice, "opens_per_account": l.OpensPerAccount,
		"bytes_per_device": l.BytesPerDevice, "bytes_per_account": l.BytesPerAccount,
	} {
		if n < 0 {
			bad("edge.limits."+key, errors.New("need a number, or 0 for no limit"))
		}
	}
	for key, n := range map[string]int{
		"head_size": l.HeadSize, "conns": l.Conns, "streams_per_device": l.StreamsPerDevice, "idle_per_device": l.IdlePerDevice,
	} {
		if n < 1 {
			bad("edge.limits."+key, errors.New("need at least 1"))
		}
	}
}

// The bounds are the protocol's.
func checkTunnels(c uplink.Config, bad func(key string, err error)) {
	if c.Max < 1 {
		bad("tunnels.max", errors.New("need at least 1"))
	}
	if c.Rate < 0 {
		bad("tunnels.rate", errors.New("need a number, or 0 for no limit"))
	}
	if c.Rebalance < 0 {
		bad("tunnels.rebalance", errors.New("need a number, or 0 for never"))
	}
	if c.Settle < 0 {
		bad("tunnels.settle", errors.New("need a time, or 0 for at once"))
	}
	if c.Ping < time.Second || c.Ping > 10*time.Minute {
		bad("tunnels.ping", errors.New("need 1s to 10m"))
	}
	if c.Hello <= 0 {
		bad("tunnels.hello", errors.New("need a time longer than 0"))
	}
	if c.Probe != 0 && c.Probe < time.Second {
		bad("tunnels.probe", errors.New("need 1s or more, or 0 to ask only where it is in doubt"))
	}
	if c.FirstStatus <= 0 {
		bad("tunnels.first_status", errors.New("need a time longer than 0"))
	}
	if c.Window < 256<<10 || c.Window > 16<<20 {
		bad("tunnels.window", errors.New("need 262144 to 16777216 bytes"))
	}
	if c.Windows < 0 {
		bad("tunnels.windows", errors.New("need 0 bytes or more"))
	}
}

func address(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("address %s: %q is no port", s, port)
	}
	return nil
}

var hostNames = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func hostName(s string) error {
	if len(s) > 200 || !hostNames.MatchString(s) { // 253 with a site before it
		return fmt.Errorf("%q is no host name in lower case", s)
	}
	return nil
}

func origin(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return fmt.Errorf("%q: need https://host[:port]", s)
	}
	return nil
}
