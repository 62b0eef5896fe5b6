package control

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/service"
)

// Config is a control node's configuration file.
type Config struct {
	Data        string            `yaml:"data"`         // directory of the database and of what must not be lost
	Listen      string            `yaml:"listen"`       // console and API over TLS; "" when the relay's port in the same process serves them
	CertFile    string            `yaml:"cert_file"`    // for the console's host name
	KeyFile     string            `yaml:"key_file"`     //
	CADir       string            `yaml:"ca_dir"`       // of a self-made CA, instead of certificate files
	Console     string            `yaml:"console"`      // the console's host name; default console.<zone>
	Zone        string            `yaml:"zone"`         // sites are <site>.<zone>
	Port        int               `yaml:"port"`         // the port browsers use for sites
	LicenseFile string            `yaml:"license_file"` // none: 25 connections on trial
	LicenseKey  string            `yaml:"license_key"`  // the key that verifies it: Ed25519, base64
	OtherModels bool              `yaml:"other_models"` // accept device types that are not on the list
	FirstAdmin  string            `yaml:"first_admin"`  // e-mail of the owner made on the first start
	Admin       string            `yaml:"admin"`        // health, metrics, profiles
	Bus         bus.Config        `yaml:"bus"`
	Log         service.LogConfig `yaml:"log"`
}

// Default is what a key that the file does not mention means.
func Default() Config {
	return Config{
		Data: "/var/lib/trunkline", Zone: "localhost", Port: 8443, FirstAdmin: "admin@trunkline.local",
		Admin: "127.0.0.1:9701", Log: service.LogConfig{Level: "info", Format: "json"},
	}
}

// Validate names the key that is wrong.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Data == "" {
		bad("data: missing")
	}
	if c.Zone == "" {
		bad("zone: missing")
	}
	if c.Port < 1 || c.Port > 65535 {
		bad("port: %d is no port", c.Port)
	}
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			bad("listen: %w", err)
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		bad("cert_file and key_file: give both or neither")
	}
	if (c.LicenseFile == "") != (c.LicenseKey == "") {
		bad("license_file and license_key: give both or neither")
	}
	if _, err := mail.ParseAddress(c.FirstAdmin); err != nil {
		bad("first_admin: %w", err)
	}
	return errors.Join(errs...)
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
	rpcTime     = 5 * time.Second
)
