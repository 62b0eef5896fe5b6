package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

const (
	maxIdentitySize = 256 << 10
	maxPassSize     = 4096
	maxPassLife     = 366 * 24 * time.Hour
	maxLicenceLeft  = 100 * 366 * 24 * 3600 // seconds
	maxRelays       = 64
	identityVersion = 1
)

// Identity is what the agent knows of itself once it is activated.
type Identity struct {
	Version int       `json:"version"`
	Server  string    `json:"server"`           // the console's URL
	CA      string    `json:"ca,omitempty"`     // PEM: what the server is verified against; "": the system's roots
	Portal  string    `json:"portal,omitempty"` // as connect was told; "": DefaultPortal
	Serial  id.Serial `json:"serial"`
	Device  id.Device `json:"device"`
	Site    id.Site   `json:"site"`
	Name    string    `json:"name"`
	Account string    `json:"account"`
	Relays  []string  `json:"relays"` // host:port, in the order to try
	// Second is where to keep a second tunnel, in the order to try; none: it is not
	// wished for.
	Second []tunnel.Place `json:"second,omitempty"`
	Region string         `json:"region,omitempty"` // whose relays come first; "": any
	Pass   Pass           `json:"pass,omitzero"`
	// OverCapacity: there was no connection left for this PBX when the pass came.
	OverCapacity bool `json:"over_capacity,omitempty"`
	// LicenceExpired: the provider's licence was over then.
	LicenceExpired bool `json:"licence_expired,omitempty"`
	// LicenceLeft is how long it had; 0: no end was known.
	LicenceLeft time.Duration `json:"licence_left,omitempty"` // nanoseconds
}

// Pass is what the device shows a relay. How old it is counts from its
// arrival, by this machine's clock: that clock may be hours off, and what
// others' clocks say of the pass is theirs to check.
type Pass struct {
	Token    string        `json:"token"` // secret
	Received time.Time     `json:"received"`
	Life     time.Duration `json:"life"` // nanoseconds
}

// parseIdentity reads what Identity's JSON form is. On error it returns nothing.
func parseIdentity(b []byte) (Identity, error) {
	if len(b) > maxIdentitySize {
		return Identity{}, errors.New("too large")
	}
	var i Identity
	if err := json.Unmarshal(b, &i); err != nil {
		// encoding/json quotes what it choked on, which may be the pass.
		return Identity{}, errors.New("truncated, or not JSON of the expected form")
	}
	if err := i.check(); err != nil {
		return Identity{}, err
	}
	return i, nil
}

// check holds what the decoder's types do not.
func (i Identity) check() error {
	switch {
	case i.Version != identityVersion:
		return fmt.Errorf("version %d; this agent reads version %d", i.Version, identityVersion)
	case i.Device == "" || i.Site == "" || i.Serial == "":
		return errors.New("device, site or serial is missing")
	case len(i.Relays) > maxRelays || len(i.Second) > maxRelays:
		return fmt.Errorf("more than %d relays", maxRelays)
	case len(i.Pass.Token) > maxPassSize:
		return errors.New("the pass is too long")
	case i.Pass.Life < 0 || i.Pass.Life > maxPassLife:
		return errors.New("the pass's life is out of range")
	}
	for _, r := range append(tunnel.Addrs(i.Second), i.Relays...) {
		if host, port, err := net.SplitHostPort(r); err != nil || host == "" || port == "" {
			return errors.New("a relay is not host:port")
		}
	}
	if i.Portal != "" {
		if _, err := parseOrigin(i.Portal); err != nil {
			return fmt.Errorf("portal: %w", err)
		}
	}
	if i.CA != "" {
		if _, err := pool([]byte(i.CA)); err != nil {
			return fmt.Errorf("ca: %w", err)
		}
	}
	return checkServer(i.Server)
}

// grant is i after control's answer g, received now.
func (i Identity) grant(g controlapi.Grant, now time.Time) (Identity, error) {
	life := min(g.LifetimeSeconds, int64(maxPassLife/time.Second))
	i.Version = identityVersion
	i.Device, i.Site, i.Name, i.Account, i.OverCapacity = g.Device, g.Site, g.Name, g.Account, g.OverCapacity
	i.LicenceExpired, i.LicenceLeft = g.LicenceExpired, time.Duration(min(max(g.LicenceSeconds, 0), maxLicenceLeft))*time.Second
	i.Second, i.Region = g.Second, g.Region
	i.Pass = Pass{Token: g.Pass, Received: now, Life: time.Duration(life) * time.Second}
	// Relays all gone for a moment is no reason to forget them.
	if len(g.Relays) > 0 || i.Relays == nil {
		i.Relays = g.Relays
	}
	if err := i.check(); err != nil {
		return Identity{}, fmt.Errorf("control's answer: %w", err)
	}
	return i, nil
}

// serving is the state of a PBX with this identity while its tunnel is up.
func (i Identity) serving() State {
	switch {
	case i.LicenceExpired:
		return LicenceExpired
	case i.OverCapacity:
		return OverCapacity
	}
	return Connected
}

func checkServer(s string) error {
	_, err := controlapi.NewClient(s, nil)
	return err
}
