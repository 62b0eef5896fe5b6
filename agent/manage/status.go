package manage

import (
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// State is how the connection to the provider stands.
type State string

const (
	NotActivated           State = "Not activated"
	RemoteAccessOff        State = "Remote access is off"
	Connecting             State = "Connecting"
	Connected              State = "Connected"
	Rejected               State = "Rejected"
	OverCapacity           State = "Over capacity"
	LicenceExpired         State = "Licence expired"
	ServerUnreachable      State = "Server unreachable"
	DisconnectedByProvider State = "Disconnected by provider"
)

// Status is a State with its circumstances: the admin listener's /status.
type Status struct {
	State   State      `json:"state"`
	Code    fault.Code `json:"code,omitempty"`   // of the reason, if it has one
	Reason  string     `json:"reason,omitempty"` // for a person; "" while all is well
	Since   time.Time  `json:"since"`            // of the state
	Relay   id.Relay   `json:"relay,omitempty"`
	Tunnel  id.Tunnel  `json:"tunnel,omitempty"`
	Device  id.Device  `json:"device,omitempty"`
	Site    id.Site    `json:"site,omitempty"`
	Name    string     `json:"name,omitempty"` // the provider's for this PBX
	Serial  id.Serial  `json:"serial,omitempty"`
	Account string     `json:"account,omitempty"`
	Server  string     `json:"server,omitempty"`
	NextTry time.Time  `json:"next_try,omitzero"`
	Tried   int        `json:"tried"`              // attempts since the last connection
	TriedAt string     `json:"tried_at,omitempty"` // the address of the last attempt
	Version string     `json:"version"`
}
