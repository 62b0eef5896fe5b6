package up

import (
	"context"
	"errors"

	"trunkline/control"
	"trunkline/relay"
)

// LiveKeys are those of Config that Reload puts in force.
func LiveKeys() []string {
	var out []string
	for _, k := range control.LiveKeys() {
		if k != "proxy_protocol" { // it has no port of its own
			out = append(out, "control."+k)
		}
	}
	for _, k := range relay.LiveKeys() {
		out = append(out, "relay."+k)
	}
	return out
}

// Reload puts LiveKeys of a valid c in force; if it errs nothing has changed.
func (u *Up) Reload(c Config) error {
	if err := u.Control.Reload(c.Control); err != nil {
		return err
	}
	u.Relay.Reload(c.Relay)
	return nil
}

// Ready says whether both planes can do their job.
func (u *Up) Ready() error { return errors.Join(u.Control.Ready(), u.Relay.Ready()) }

// Alive errs if one of the planes hangs.
func (u *Up) Alive(ctx context.Context) error {
	return errors.Join(u.Control.Alive(ctx), u.Relay.Alive(ctx))
}
