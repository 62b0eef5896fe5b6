// Package account tells the PBX of the dedicated account for remote access that
// its staff set at the agent: the agent is apart from the PBX, which would not
// know it otherwise. How, is a program's to know, which the configuration names.
//
// It keeps nothing, and decides nothing about accounts: manage has the rules,
// and the agent the settings.
package account

import (
	"errors"
	"path/filepath"
	"time"
)

// Config is the `portal.account` section of the agent's configuration. Without
// a command the PBX is told nothing.
type Config struct {
	Command []string      `yaml:"command"` // a program and its arguments
	Timeout time.Duration `yaml:"timeout"` // of one run
}

// MaxTimeout is below what the page waits for when it saves.
const MaxTimeout = 30 * time.Second

// Default gives a PBX some time.
func Default() Config { return Config{Timeout: 10 * time.Second} }

// Validate names the key that is wrong.
func (c Config) Validate() error {
	switch {
	case len(c.Command) > 0 && !filepath.IsAbs(c.Command[0]):
		return errors.New("command: need an absolute path")
	case c.Timeout < 100*time.Millisecond || c.Timeout > MaxTimeout:
		return errors.New("timeout: need 100ms to 30s")
	}
	return nil
}

// Tells reports whether the PBX is told.
func (c Config) Tells() bool { return len(c.Command) > 0 }
