package manage

import (
	"crypto/x509"
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Limits of what is typed. A password here is the PBX's own; that of somebody at
// the provider has at most controlapi.MaxPassword characters.
const (
	MaxEmail    = 254
	MaxPassword = 1024 // bytes
	MaxCode     = 64
	MaxPhrase   = 100 // model and firmware
	MaxAddress  = 300
	MaxCA       = 64 << 10
)

// Activation is what a person gives to connect a PBX to a provider.
type Activation struct {
	ServerType ServerType `json:"server_type"`
	Server     string     `json:"server"` // https://host[:port]; Address makes it of what was typed
	CA         string     `json:"ca"`     // PEM; "": the system's roots
	Method     Method     `json:"method"`
	Email      string     `json:"email"`
	Password   string     `json:"password"` // secret
	Code       string     `json:"code"`     // secret
	Serial     id.Serial  `json:"serial,omitempty"`
	Model      string     `json:"model"`
	Firmware   string     `json:"firmware"`
	Portal     string     `json:"portal"` // "": as before, or the default
}

// Check names the field that is missing or wrong. It errs with an Invalid
// fault.
func (q Activation) Check() error {
	if err := q.CheckPublic(); err != nil {
		return err
	}
	switch {
	case q.Method == ByEmail && q.Password == "":
		return invalid("password", "The password is missing.")
	case q.Method == ByEmail && utf8.RuneCountInString(q.Password) > controlapi.MaxPassword:
		return invalid("password", "The password is longer than any of the provider's: %d characters.", controlapi.MaxPassword)
	case q.Method == ByCode && strings.TrimSpace(q.Code) == "":
		return invalid("code", "The authentication code is missing. The provider makes one when it adds this device.")
	case q.Method == ByCode && (len(q.Code) > MaxCode || !printable(q.Code)):
		return invalid("code", "This is no authentication code: one looks like K7QM-4XWZ-9T2P-HD3V.")
	}
	return nil
}

// CheckPublic is Check of what is no secret, before somebody types one.
func (q Activation) CheckPublic() error {
	if q.ServerType != DefaultServer && q.ServerType != CustomServer {
		return invalid("server_type", "Choose a server type: the default server, or Custom.")
	}
	if q.Method != ByEmail && q.Method != ByCode {
		return invalid("method", "Choose an activation method: By Email or Authentication Code.")
	}
	if _, err := Address(q.Server); err != nil {
		return err
	}
	if err := CheckCA(q.CA); err != nil {
		return err
	}
	if q.Method == ByEmail {
		if err := checkEmail(q.Email); err != nil {
			return err
		}
	}
	return q.checkDevice()
}

func (q Activation) checkDevice() error {
	if q.Serial == "" {
		return invalid("serial", "The PBX's serial number is missing.")
	}
	if err := new(id.Serial).UnmarshalText([]byte(q.Serial)); err != nil {
		return invalid("serial", "This is no serial number: one has 4 to 32 letters, digits and dashes.")
	}
	if err := checkPhrase("model", "model", q.Model); err != nil {
		return err
	}
	return checkPhrase("firmware", "firmware version", q.Firmware)
}

func checkEmail(s string) error {
	if s == "" {
		return invalid("email", "The e-mail address is missing.")
	}
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s || len(s) > MaxEmail || !printable(s) {
		return invalid("email", "This is no e-mail address: one looks like name@example.com.")
	}
	return nil
}

func checkPhrase(field, what, s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return invalid(field, "The PBX's %s is missing.", what)
	case len(s) > MaxPhrase || !printable(s):
		return invalid(field, "The PBX's %s has at most %d characters, and none that cannot be seen.", what, MaxPhrase)
	}
	return nil
}

// CheckCA takes what may stand in a CA file, and nothing at all.
func CheckCA(pem string) error {
	switch {
	case pem == "":
		return nil
	case len(pem) > MaxCA:
		return invalid("ca", "The CA file is too large; give the provider's CA alone.")
	case strings.Contains(pem, "PRIVATE KEY"):
		return invalid("ca", "There is a private key in the CA file. It is not needed, and was not kept; give the certificate alone.")
	case !x509.NewCertPool().AppendCertsFromPEM([]byte(pem)):
		return invalid("ca", "The CA file has no certificate in PEM form in it (-----BEGIN CERTIFICATE-----).")
	}
	return nil
}

// Address is the URL of what a person types as the server's address: a host,
// host:port, or https:// and either.
func Address(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", invalid("server", "The server's address is missing.")
	case len(s) > MaxAddress:
		return "", invalid("server", "The server's address is too long.")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "", invalid("server", "The server's address has a space or a line break in it.")
	}
	if scheme, rest, ok := strings.Cut(s, "://"); !ok {
		s = "https://" + s
	} else if s = strings.ToLower(scheme) + "://" + rest; !strings.EqualFold(scheme, "https") && !(strings.EqualFold(scheme, "http") && loopback(rest)) {
		return "", invalid("server", "The server's address must begin with https://, or be no more than the host's name.")
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", invalid("server", "This is no address: give a host such as console.example.com, host:port, or https://host:port.")
	}
	return checkURL(u)
}

func checkURL(u *url.URL) (string, error) {
	host, port := u.Hostname(), u.Port()
	switch {
	case u.User != nil:
		return "", invalid("server", "There is a user name (an @) in the server's address. Give the host alone.")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return "", invalid("server", "There is something behind the host in the server's address. Give host or host:port alone.")
	case host == "":
		return "", invalid("server", "The server's address has no host.")
	case !isHost(host):
		return "", invalid("server", "The host in the server's address has characters that no host has.")
	case port == "" && strings.HasSuffix(u.Host, ":"):
		return "", invalid("server", "The port is missing behind the colon of the server's address.")
	}
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return "", invalid("server", "The port in the server's address is not a number from 1 to 65535.")
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// isHost takes names in ASCII (others have their xn-- form) and IP addresses.
func isHost(h string) bool {
	if net.ParseIP(h) != nil {
		return true
	}
	return len(h) <= 253 && !strings.HasPrefix(h, ".") && !strings.Contains(h, "..") && !strings.ContainsFunc(h, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}

// loopback tells whether host[:port] is this machine: there nobody listens.
func loopback(s string) bool {
	u, err := url.Parse("http://" + s)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func invalid(field, format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).In(field)
}
