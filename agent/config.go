package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"trunkline/agent/account"
	"trunkline/agent/login"
	"trunkline/agent/page"
	"trunkline/agent/standby"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/service"
)

// AdminOff as Config.Admin switches the admin listener off, PageOff as
// Config.Page.Listen the page.
const (
	AdminOff = "off"
	PageOff  = page.Off
)

// DefaultPortal is where a P-Series PBX serves its web UI if nobody says
// otherwise. On loopback its own certificate is taken as it is.
const DefaultPortal = "https://127.0.0.1:8088"

// Config is the agent's configuration file.
type Config struct {
	Data          string            `yaml:"data"`           // directory of the key, the identity and the last state
	Server        string            `yaml:"server"`         // the provider's console; "": the one the PBX was connected to
	DefaultServer string            `yaml:"default_server"` // what the page offers as the default server; "": it offers none
	CAFile        string            `yaml:"ca_file"`        // what the server is verified against; "": what connect was given, or the system's roots
	Device        Device            `yaml:"device"`
	Portal        Portal            `yaml:"portal"`
	Standby       standby.Config    `yaml:"standby"` // this PBX's part in a hot-standby pair
	Page          page.Config       `yaml:"page"`
	Admin         string            `yaml:"admin"` // status, health, metrics, profiles; "off": none
	Log           service.LogConfig `yaml:"log"`

	// SecondWithin is how long a second tunnel may take to be sought, at random, so
	// that agents do not seek theirs all at once; 0: 20 s.
	SecondWithin time.Duration `yaml:"-"`

	// Dial reaches relays and the portal; nil: as usual. Who runs many agents in
	// one process gives each its own line, and its own address, by it.
	Dial dialFunc `yaml:"-"`
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer is Dial, or what it is without one.
func (c Config) dialer() dialFunc {
	if c.Dial != nil {
		return c.Dial
	}
	return controlapi.LoopbackDialer()
}

// Device says which PBX this is. What is missing is asked when it is connected.
type Device struct {
	Serial   id.Serial `yaml:"serial"`
	Model    string    `yaml:"model"`
	Firmware string    `yaml:"firmware"`

	// The remote account may have neither of these names.
	SuperAdmin     string   `yaml:"super_admin"`
	Extensions     []string `yaml:"extension_emails"`
	ExtensionsFile string   `yaml:"extension_emails_file"` // one address a line, read at each change
}

// Portal is the PBX's own web UI.
type Portal struct {
	URL         string        `yaml:"url"`          // http:// or https://, no path; "": what connect was given, or DefaultPortal
	Aliases     []string      `yaml:"aliases"`      // other origins by which the portal names itself
	CAFile      string        `yaml:"ca_file"`      // verifies an https portal
	Pin         string        `yaml:"pin"`          // SHA-256 of its certificate (DER), hex: trusted whatever else is wrong with it
	DialTimeout time.Duration `yaml:"dial_timeout"` // to connect, TLS included
	MaxStreams  int           `yaml:"max_streams"`  // connections at a time: the 256 of a relay, and some that are just closing
	Compression bool          `yaml:"compression"`  // of answers, where the browser accepts it and it is safe
	Login       login.Config  `yaml:"login"`        // how visitors of passwordless visits are signed in

	Account account.Config `yaml:"account"` // how the PBX is told of its account for remote access
}

// Default is what a key that the file does not mention means.
func Default() Config {
	return Config{
		Data:    "/var/lib/trunkline-agent",
		Portal:  Portal{DialTimeout: 5 * time.Second, MaxStreams: 288, Compression: true, Login: login.Default(), Account: account.Default()},
		Standby: standby.Default(),
		Page:    page.Config{Listen: "127.0.0.1:9700"},
		Admin:   "127.0.0.1:9703",
		Log:     service.LogConfig{Level: "info", Format: "json"},
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
	if c.Data == "" {
		bad("data", errors.New("missing"))
	}
	if c.Server != "" {
		bad("server", checkServer(c.Server))
	}
	if c.DefaultServer != "" {
		bad("default_server", checkServer(c.DefaultServer))
	}
	if c.Device.Serial != "" {
		bad("device.serial", new(id.Serial).UnmarshalText([]byte(c.Device.Serial)))
	}
	if c.Portal.URL != "" {
		_, err := parseOrigin(c.Portal.URL)
		bad("portal.url", err)
	}
	for _, a := range c.Portal.Aliases {
		_, err := parseOrigin(a)
		bad("portal.aliases", err)
	}
	if len(c.Portal.Aliases) > maxAliases {
		bad("portal.aliases", fmt.Errorf("at most %d", maxAliases))
	}
	if c.Portal.Pin != "" {
		_, err := parsePin(c.Portal.Pin)
		bad("portal.pin", err)
	}
	if d := c.Portal.DialTimeout; d <= 0 || d > time.Minute {
		bad("portal.dial_timeout", errors.New("need more than 0 and at most 1m"))
	}
	if n := c.Portal.MaxStreams; n < 1 || n > 4096 {
		bad("portal.max_streams", errors.New("need 1 to 4096"))
	}
	if err := c.Page.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Portal.Login.Validate(); err != nil {
		bad("portal.login", err)
	}
	if err := c.Portal.Account.Validate(); err != nil {
		bad("portal.account", err)
	}
	if err := c.Standby.Validate(); err != nil {
		bad("standby", err)
	}
	if c.Standby.Peer != "" && c.Standby.Peer == c.Device.Serial {
		bad("standby.peer", errors.New("this is the PBX's own serial number"))
	}
	if c.Admin != AdminOff {
		_, _, err := net.SplitHostPort(c.Admin)
		bad("admin", err)
	}
	return errors.Join(errs...)
}

// parsePin takes the form openssl prints too, with colons.
func parsePin(s string) (pin [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) != len(pin) {
		return pin, fmt.Errorf("need the SHA-256 of a certificate: %d hexadecimal digits", 2*len(pin))
	}
	return [sha256.Size]byte(b), nil
}
