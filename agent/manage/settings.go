package manage

import (
	"encoding/json"
	"errors"
	"time"

	"trunkline/internal/id"
)

// ServerType is where the provider's server comes from.
type ServerType string

const (
	DefaultServer ServerType = "default" // the configuration's default_server
	CustomServer  ServerType = "custom"  // what the PBX's staff type
)

// Method is how a PBX is activated.
type Method string

const (
	ByEmail Method = "email"
	ByCode  Method = "code"
)

// Auto logout, in minutes without an operation.
const (
	MinAutoLogout     = 5
	MaxAutoLogout     = 120
	DefaultAutoLogout = 15
)

const (
	settingsVersion = 1
	// MaxSettings bounds the settings' file.
	MaxSettings = 256 << 10
	maxText     = 254
)

// Settings are what the PBX's staff decide, on the page or on the command
// line. They are on disk as they are here; what is secret in them is a hash.
type Settings struct {
	Version int `json:"version"`

	// What the page shows again the next time. The password and the code are
	// not kept.
	ServerType ServerType `json:"server_type"`
	Server     string     `json:"server,omitempty"` // as it was typed
	Method     Method     `json:"method"`
	Email      string     `json:"email,omitempty"`

	// What the configuration does not say of the PBX.
	Serial   id.Serial `json:"serial,omitempty"`
	Model    string    `json:"model,omitempty"`
	Firmware string    `json:"firmware,omitempty"`
	Portal   string    `json:"portal,omitempty"` // the PBX's web portal; "": the default

	Account      *Account  `json:"account,omitempty"` // nil: no dedicated remote account
	Doubt        *Doubt    `json:"account_doubt,omitempty"`
	Passwordless bool      `json:"passwordless"`
	AutoLogout   int       `json:"auto_logout"` // minutes
	Off          bool      `json:"off"`         // remote access
	OffSince     time.Time `json:"off_since,omitzero"`
}

// Account is the PBX's dedicated account for remote access.
type Account struct {
	User   string `json:"user"`
	Secret string `json:"secret"`         // a Hash of its password
	Told   bool   `json:"told,omitempty"` // the PBX has it
}

// Doubt stands in the settings while the PBX is told of another account than
// theirs, and stays if nobody knows how that ended: the PBX may have the account
// of the settings, one of these, or none.
type Doubt struct {
	Names []string `json:"names"`
}

// MaxDoubt bounds a Doubt's names.
const MaxDoubt = 8

// DefaultSettings are those of a PBX on which nobody decided anything yet.
func DefaultSettings() Settings {
	return Settings{Version: settingsVersion, ServerType: CustomServer, Method: ByEmail, AutoLogout: DefaultAutoLogout}
}

// ParseSettings reads what Settings' JSON form is. On error it returns nothing.
func ParseSettings(b []byte) (Settings, error) {
	if len(b) > MaxSettings {
		return Settings{}, errors.New("too large")
	}
	s := Settings{AutoLogout: DefaultAutoLogout}
	if err := json.Unmarshal(b, &s); err != nil {
		return Settings{}, errors.New("truncated, or not JSON of the expected form")
	}
	if err := s.check(); err != nil {
		return Settings{}, err
	}
	return s, nil
}

func (s Settings) check() error {
	switch {
	case s.Version != settingsVersion:
		return errors.New("of another version of the agent")
	case s.ServerType != DefaultServer && s.ServerType != CustomServer:
		return errors.New("server_type is none")
	case s.Method != ByEmail && s.Method != ByCode:
		return errors.New("method is none")
	case s.AutoLogout < MinAutoLogout || s.AutoLogout > MaxAutoLogout:
		return errors.New("auto_logout is out of range")
	case len(s.Server) > maxText || len(s.Email) > maxText || len(s.Model) > maxText || len(s.Firmware) > maxText || len(s.Portal) > MaxAddress:
		return errors.New("a text is too long")
	case s.Account != nil && (s.Account.User == "" || len(s.Account.User) > maxText || !ValidHash(s.Account.Secret)):
		return errors.New("the account is incomplete")
	case s.Doubt != nil && len(s.Doubt.Names) > MaxDoubt:
		return errors.New("too many accounts are in doubt")
	}
	return nil
}
