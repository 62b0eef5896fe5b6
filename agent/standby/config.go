// Package standby learns what this PBX is in its hot-standby pair: from the
// configuration, from a file that the PBX writes, or from a command that is
// run on a schedule. It numbers the changes of the role, on disk, so that a
// claim that is late can be told from a newer one.
//
// It decides nothing: who serves is control's and the relays' to say.
package standby

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"trunkline/internal/id"
)

// Config is the `standby` section of the agent's configuration. Without Type,
// File and Command this is a single PBX.
type Config struct {
	Type    string        `yaml:"type"`    // primary or secondary: it never changes
	Peer    id.Serial     `yaml:"peer"`    // the other server's serial number
	Role    string        `yaml:"role"`    // active or standby, where nothing else says it
	File    string        `yaml:"file"`    // instead: the PBX writes its facts there, JSON or YAML
	Command []string      `yaml:"command"` // instead: it prints them
	Every   time.Duration `yaml:"every"`   // between two looks at the file or runs of the command
	Timeout time.Duration `yaml:"timeout"` // of one run
}

// Default looks every other second.
func Default() Config { return Config{Every: 2 * time.Second, Timeout: 5 * time.Second} }

// Validate names the key that is wrong.
func (c Config) Validate() error {
	sources := 0
	for _, set := range []bool{c.Type != "", c.File != "", len(c.Command) > 0} {
		if set {
			sources++
		}
	}
	switch {
	case sources > 1:
		return errors.New("give type, peer and role, or file, or command")
	case c.Type == "" && (c.Peer != "" || c.Role != ""):
		return errors.New("type is missing: primary or secondary")
	case c.File != "" && !filepath.IsAbs(c.File):
		return errors.New("file: need an absolute path")
	case len(c.Command) > 0 && !filepath.IsAbs(c.Command[0]):
		return errors.New("command: need an absolute path")
	case c.Every < 500*time.Millisecond || c.Every > time.Minute:
		return errors.New("every: need 500ms to 1m")
	case c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute:
		return errors.New("timeout: need 100ms to 1m")
	}
	if c.Type == "" {
		return nil
	}
	return facts{Enabled: true, Type: c.Type, Peer: c.Peer, Role: c.Role}.check()
}

// facts are what a source says.
type facts struct {
	Enabled bool      `yaml:"enabled"`
	Type    string    `yaml:"type"`
	Peer    id.Serial `yaml:"peer"`
	Role    string    `yaml:"role"`
	Claim   uint64    `yaml:"claim"` // if the PBX numbers its changes itself
}

func (f facts) check() error {
	if !f.Enabled {
		return nil
	}
	if f.Type != "primary" && f.Type != "secondary" {
		return fmt.Errorf("type: need primary or secondary")
	}
	if f.Role != "active" && f.Role != "standby" {
		return fmt.Errorf("role: need active or standby")
	}
	if err := new(id.Serial).UnmarshalText([]byte(f.Peer)); err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	return nil
}
