package bus

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"trunkline/internal/id"
)

// Config says which NATS the process uses. The zero value embeds a server that
// nobody else can reach.
type Config struct {
	// URL of an external NATS, nats://host:port or tls://host:port, several
	// separated by commas. Empty: a server runs in the process.
	URL string `yaml:"url"`
	// CAFile verifies the external server; empty: the system's roots.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile are the client's certificate for an external
	// server, or the server's own where Listen is set.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// CredsFile is a NATS credentials file; User and PasswordFile are the other way.
	CredsFile    string `yaml:"creds_file"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`

	// Listen is where relays dial an embedded server, host:port. Empty:
	// nobody can.
	Listen string `yaml:"listen"`
	// Logins are the relays that may dial Listen.
	Logins []Login `yaml:"logins"`
}

// Login lets one relay in, and to nothing but what is that relay's.
type Login struct {
	User         string   `yaml:"user"`
	PasswordFile string   `yaml:"password_file"` // mode 0600
	Relay        id.Relay `yaml:"relay"`
}

func (c Config) Validate() error {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("bus: cert_file and key_file go together")
	}
	if c.URL == "" {
		return c.validateEmbedded()
	}
	if c.Listen != "" || len(c.Logins) > 0 {
		return errors.New("bus: listen and logins are for the embedded server: remove them or url")
	}
	if c.CredsFile != "" && c.User != "" {
		return errors.New("bus: creds_file or user, not both")
	}
	if (c.User == "") != (c.PasswordFile == "") {
		return errors.New("bus: user and password_file go together")
	}
	for one := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		switch {
		case err != nil:
			return errors.New("bus: url: cannot be parsed") // err may quote a password
		case u.User != nil:
			return errors.New("bus: url: no user or password here, use user and password_file")
		case u.Scheme != "nats" && u.Scheme != "tls" || u.Host == "":
			return errors.New("bus: url: need nats://host:port or tls://host:port")
		}
	}
	return nil
}

func (c Config) validateEmbedded() error {
	if c.CAFile != "" || c.CredsFile != "" || c.User != "" || c.PasswordFile != "" {
		return errors.New("bus: ca_file, creds_file, user and password_file are for an external server: set url")
	}
	if c.Listen == "" {
		if len(c.Logins) > 0 {
			return errors.New("bus: logins need listen")
		}
		return nil
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("bus: listen: %w", err)
	}
	var users []string
	for i, l := range c.Logins {
		var r id.Relay
		if err := r.UnmarshalText([]byte(l.Relay)); err != nil {
			return fmt.Errorf("bus: logins[%d]: %w", i, err)
		}
		if l.User == "" || l.User == ownUser || slices.Contains(users, l.User) {
			return fmt.Errorf("bus: logins[%d]: user is empty, taken or reserved", i)
		}
		if l.PasswordFile == "" {
			return fmt.Errorf("bus: logins[%d]: password_file is missing", i)
		}
		users = append(users, l.User)
	}
	return nil
}

const maxSecretSize = 64 << 10 // a credentials file is the largest

// readSecret refuses a file that others may read: who put it there meant to
// keep it to the service.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s: need a regular file of mode 0600, have %v", path, st.Mode())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecretSize+1))
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" || len(b) > maxSecretSize {
		return "", fmt.Errorf("%s: empty or larger than %d bytes", path, maxSecretSize)
	}
	return s, nil
}
