package trace

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Config says where spans go, and how many. The zero value is off.
type Config struct {
	Endpoint    string  `yaml:"endpoint"`     // of an OTLP/HTTP collector, http(s)://host:port/v1/traces; "" is off
	Sample      float64 `yaml:"sample"`       // control: the share of visits that are traced; a relay: of their requests; 0 to 1
	HeadersFile string  `yaml:"headers_file"` // mode 0600, a "Name: value" a line, for the collector to know us by
}

const maxHeaders = 16 << 10

// Validate names what is wrong.
func (c Config) Validate() error {
	if !(c.Sample >= 0 && c.Sample <= 1) { // nor NaN
		return errors.New("sample: need 0 to 1")
	}
	if c.Endpoint == "" {
		if c.HeadersFile != "" {
			return errors.New("headers_file: it is for endpoint, which is missing")
		}
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil:
		return errors.New("endpoint: cannot be parsed") // err may quote a password
	case u.User != nil:
		return errors.New("endpoint: no user or password here, use headers_file")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || len(u.Path) < 2:
		return errors.New("endpoint: need http(s)://host:port/v1/traces")
	}
	return nil
}

// headers reads HeadersFile. No error quotes a value.
func (c Config) headers() (map[string]string, error) {
	if c.HeadersFile == "" {
		return nil, nil
	}
	info, err := os.Stat(c.HeadersFile)
	switch {
	case err != nil:
		return nil, fmt.Errorf("headers_file: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("headers_file: others may read %s: chmod 600 it", c.HeadersFile)
	case info.Size() > maxHeaders:
		return nil, fmt.Errorf("headers_file: %s has more than %d bytes", c.HeadersFile, maxHeaders)
	}
	b, err := os.ReadFile(c.HeadersFile)
	if err != nil {
		return nil, fmt.Errorf("headers_file: %w", err)
	}
	out := make(map[string]string)
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("headers_file: %s, line %d: need \"Name: value\"", c.HeadersFile, n)
		}
		out[http.CanonicalHeaderKey(name)] = value
	}
	return out, nil
}
