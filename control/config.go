package control

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"trunkline/control/api"
	"trunkline/control/license"
	"trunkline/control/store"
	"trunkline/internal/bus"
	"trunkline/internal/service"
	"trunkline/internal/trace"
)

// Config is a control node's configuration file.
type Config struct {
	Data        string            `yaml:"data"`         // directory of the database and of what must not be lost
	Database    string            `yaml:"database"`     // "": SQLite in data; or postgres://user@host/name
	Listen      string            `yaml:"listen"`       // console and API over TLS; "" when a relay's port in the same process serves them
	CertFile    string            `yaml:"cert_file"`    // for the console's host name
	KeyFile     string            `yaml:"key_file"`     //
	CADir       string            `yaml:"ca_dir"`       // of a self-made CA, instead of certificate files
	Console     string            `yaml:"console"`      // the console's host name; default console.<zone>
	Zone        string            `yaml:"zone"`         // sites are <site>.<zone>
	Port        int               `yaml:"port"`         // the port browsers use for sites
	LicenseFile string            `yaml:"license_file"` // none: what was installed in the console, else 25 connections on trial
	LicenseKey  string            `yaml:"license_key"`  // the key that verifies licences: Ed25519, base64; none: none can be installed
	OtherModels bool              `yaml:"other_models"` // accept device types that are not on the list
	FirstAdmin  string            `yaml:"first_admin"`  // e-mail of the owner made on the first start
	AuditKeep   time.Duration     `yaml:"audit_keep"`   // how long audit entries are kept; 0: for ever
	Limits      api.Limits        `yaml:"limits"`       // of the API
	Admin       string            `yaml:"admin"`        // health, metrics, profiles; "" is off
	Bus         bus.Config        `yaml:"bus"`
	Log         service.LogConfig `yaml:"log"`
	Traces      trace.Config      `yaml:"traces"`

	// ProxyProtocol is whose connections to Listen begin with a PROXY header,
	// which says who the client is: load balancers that pass TCP on.
	ProxyProtocol []netip.Prefix `yaml:"proxy_protocol"`
}

// Default is what a key that the file does not mention means.
func Default() Config {
	return Config{
		Data: "/var/lib/trunkline", Listen: ":8444", Zone: "localhost", Port: 8443, FirstAdmin: "admin@trunkline.local",
		AuditKeep: 395 * 24 * time.Hour, // 13 months
		Limits:    api.DefaultLimits(),
		Admin:     "127.0.0.1:9701", Log: service.LogConfig{Level: "info", Format: "json"},
		Traces: trace.Config{Sample: 0.1},
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
	if c.Database != "" {
		bad("database", store.CheckURL(c.Database))
	}
	if c.Listen != "" {
		bad("listen", address(c.Listen))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		bad("cert_file and key_file", errors.New("give both or neither"))
	}
	if c.CertFile != "" && c.CADir != "" {
		bad("ca_dir", errors.New("give it or cert_file, not both"))
	}
	if c.Console != "" {
		bad("console", hostName(c.Console))
	}
	bad("zone", hostName(c.Zone))
	if c.Port < 1 || c.Port > 65535 {
		bad("port", fmt.Errorf("%d is no port", c.Port))
	}
	if c.LicenseFile != "" && c.LicenseKey == "" {
		bad("license_file", errors.New("license_key is missing: the key that verifies it"))
	}
	if c.LicenseKey != "" {
		_, err := license.ParseKey(c.LicenseKey)
		bad("license_key", err)
	}
	if a, err := mail.ParseAddress(c.FirstAdmin); err != nil || a.Address != c.FirstAdmin {
		bad("first_admin", fmt.Errorf("%q is no e-mail address", c.FirstAdmin))
	}
	if c.AuditKeep != 0 && c.AuditKeep < minAuditKeep {
		bad("audit_keep", fmt.Errorf("%s is less than %s; 0 keeps them for ever", c.AuditKeep, minAuditKeep))
	}
	if c.Admin != "" {
		bad("admin", address(c.Admin))
	}
	bad("limits", c.Limits.Validate())
	bad("traces", c.Traces.Validate())
	if err := c.Bus.Validate(); err != nil {
		errs = append(errs, err) // it begins with the key
	}
	return errors.Join(errs...)
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

// ConsoleHost is the host name of console and API.
func (c Config) ConsoleHost() string {
	if c.Console != "" {
		return c.Console
	}
	return "console." + c.Zone
}

// sitePort is what a URL has after the host.
func (c Config) sitePort() string {
	if c.Port == 443 {
		return ""
	}
	return fmt.Sprintf(":%d", c.Port)
}

const (
	ensureEvery = 5 * time.Second

	minAuditKeep = 24 * time.Hour // so that a slip of a unit deletes no evidence of today
)
