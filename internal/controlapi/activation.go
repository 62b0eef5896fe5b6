package controlapi

import (
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// MaxPassword is how many characters the password of a person has at most.
const MaxPassword = 256

// ActivationRequest asks for a PBX to be taken into an account: the one whose
// console made Code, or that of the user with Email and Password. The same
// request gets the same device: a lost answer is harmless.
type ActivationRequest struct {
	Serial     id.Serial   `json:"serial" doc:"The PBX's serial number."`
	Model      string      `json:"model" max:"100" doc:"The PBX's type as its maker spells it."`
	Firmware   string      `json:"firmware" max:"100" doc:"The PBX's firmware version."`
	PublicKey  []byte      `json:"public_key" size:"32" doc:"The device's Ed25519 key."`
	Proof      []byte      `json:"proof" size:"64" doc:"Signature by that key over 'trunkline activate 1', NUL, serial, NUL, key."`
	HotStandby *HotStandby `json:"hot_standby,omitempty" doc:"Absent for a single PBX."`
	Code       string      `json:"code,omitempty" max:"64" doc:"Authentication code, made in the console. Case, spaces and hyphens do not matter. Instead of email and password."`
	Email      string      `json:"email,omitempty" max:"254" format:"email" doc:"A user of the account that the PBX is to belong to."`
	Password   string      `json:"password,omitempty" max:"password" format:"password"`
}

// HotStandby is what a PBX says of its pair.
type HotStandby struct {
	Type string    `json:"type" enum:"primary,secondary" doc:"Never changes."`
	Role string    `json:"role" enum:"active,standby" doc:"Changes at every switch-over."`
	Peer id.Serial `json:"peer,omitempty" doc:"The other member's serial number."`
	// Claim is tunnel.Standby's.
	Claim int64 `json:"claim,omitempty" doc:"Numbers the changes of the role: of two that say they are active the higher one serves."`
}

// RenewalRequest asks for a new pass.
type RenewalRequest struct {
	Device id.Device `json:"device"`
	Nonce  []byte    `json:"nonce" size:"16" doc:"Random, new in every request."`
	Proof  []byte    `json:"proof" size:"64" doc:"Signature by the device's key over 'trunkline renew 1', NUL, device, NUL, nonce."`
}

// Grant is the answer to an activation and to a renewal.
type Grant struct {
	Device  id.Device `json:"device"`
	Site    id.Site   `json:"site" doc:"First label of the site's host name."`
	Name    string    `json:"name"`
	Account string    `json:"account" doc:"The account's name, for the PBX's own page."`
	Pass    string    `json:"pass" doc:"Secret: what the device shows a relay, together with a proof of its key."`
	// LifetimeSeconds, and no date: the PBX's clock may be off by hours.
	LifetimeSeconds int64          `json:"lifetime_seconds" doc:"How long the pass is good for, from now."`
	Relays          []string       `json:"relays" doc:"host:port, in the order to try."`
	Second          []tunnel.Place `json:"second,omitempty" doc:"Where to keep a second tunnel, in the order to try, at another relay than the first one's; absent: none is wanted."`
	Region          string         `json:"region,omitempty" doc:"Whose relays come first in both; absent: none is wished for."`
	OverCapacity    bool           `json:"over_capacity,omitempty" doc:"No connection was left for the site: the tunnel stays, visits are refused."`
	LicenceExpired  bool           `json:"licence_expired,omitempty" doc:"The provider's licence and its days of grace are over: the tunnel stays, visits are refused."`
	LicenceSeconds  int64          `json:"licence_seconds,omitempty" doc:"In how long that will be, from now, unless the licence is renewed; missing: no end is known."`
}
