package fleet

import (
	"crypto/ed25519"
	"net/netip"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// Role is what a user may do in the user's account.
type Role string

const (
	RoleOwner      Role = "owner"
	RoleAdmin      Role = "admin"
	RoleTechnician Role = "technician"
	RoleAuditor    Role = "auditor" // reads everything, changes nothing, visits nothing
)

// Account is a provider (the root) or a reseller (Parent set).
type Account struct {
	ID      id.Account
	Parent  id.Account // "" for the root
	Name    string
	Created time.Time
}

// User is a person in one account.
type User struct {
	ID      id.User
	Account id.Account
	Email   string // lower case
	Name    string
	Role    Role
	Hash    string // argon2id, PHC string
	Created time.Time
}

// Principal is who asks: a signed-in user, or nobody (the zero value).
type Principal struct {
	User    id.User
	Account id.Account
	Email   string
	Name    string
	Role    Role
	Remote  netip.Addr
	// Session is the hash under which the principal's session is stored.
	Session string
}

// Status of a device as staff see it.
type Status string

const (
	StatusConnected    Status = "connected"
	StatusDisconnected Status = "disconnected"
	StatusNever        Status = "never_connected"
)

// Presence is a device's status, why, and since when.
type Presence struct {
	Status Status
	Reason fault.Code // why disconnected; "" while connected
	Since  time.Time  // UTC
	Relay  id.Relay
	Remote string // the agent's address
	Agent  string // the agent's version
}

// Device is one PBX server.
type Device struct {
	ID        id.Device
	Account   id.Account
	Site      id.Site
	Serial    id.Serial
	Name      string
	Model     string
	Firmware  string
	Key       ed25519.PublicKey
	Activated time.Time
	Presence  Presence

	// HotStandby is what the PBX last said; nothing acts on it yet: every
	// device is its own site.
	HotStandby HotStandby
	// Issued is when the newest pass was issued, Void the moment at and before
	// which issued passes are void (zero: none are). Both in whole seconds.
	Issued time.Time
	Void   time.Time
}

// HotStandby is what a PBX says of its pair; the zero value is a single PBX.
type HotStandby struct {
	Enabled bool
	Type    string // primary or secondary
	Role    string // active or standby
	Peer    id.Serial
}

// Activation by e-mail: what an agent asks.
type Activation struct {
	Serial     id.Serial
	Model      string
	Firmware   string
	Key        ed25519.PublicKey
	Proof      []byte // controlapi.ActivationProof by Key
	HotStandby HotStandby
	Email      string
	Password   string
	Remote     netip.Addr
}

// Grant is the answer to an activation and to a renewal.
type Grant struct {
	Device  id.Device
	Site    id.Site
	Name    string
	Account string // the account's name, for the PBX's page
	Pass    string
	Issued  time.Time
	Expires time.Time
	Relays  []string // host:port, in the order to try
}

// Renewal asks for a new pass.
type Renewal struct {
	Device id.Device
	Nonce  []byte // 16 bytes, random
	Proof  []byte // controlapi.RenewalProof by the device's key
	Remote netip.Addr
}

// Subscription of an account.
type Subscription struct {
	Status      string // "Subscribed", "Trial", "Not Subscribed"
	Holder      string
	Connections int
	Used        int
	Expires     time.Time // zero: never
}

// DeviceQuery selects and orders devices. Page by Cursor; Limit 1 to 200.
type DeviceQuery struct {
	Search string // in name, serial, site, model; case-insensitive
	Status Status // "": all
	Cursor string
	Limit  int
}

// Page is part of a list; Next is "" on the last one.
type Page[T any] struct {
	Items []T
	Next  string
	Total int
}

// VisitRequest asks for a visit of a site's active device, or of one device.
type VisitRequest struct {
	Device id.Device
	Method string // token.MethodAccount (default) or token.MethodPasswordless
}

// VisitStart is a granted visit: POST Handover as form field "handover" to URL.
type VisitStart struct {
	Visit    token.Visit
	URL      string // https://<site>.<zone>[:port]/.trunkline/visit
	Handover string // secret, one use, 60 s
}

// Visit is a visit on record.
type Visit struct {
	token.Visit
	DeviceName string
	Opened     time.Time // redeemed at a relay; zero: not yet
	Ended      time.Time // zero: still on
	EndCode    fault.Code
	Remote     string
	BytesIn    int64
	BytesOut   int64
	Requests   int64
}

// AuditEntry records a decision. Refusals are entries too.
type AuditEntry struct {
	Seq     int64
	At      time.Time
	Account id.Account // whose log it is in; "" if unknown
	Actor   string     // e-mail, "device <SN>", or ""
	Remote  string
	Action  string // "sign_in", "activate", "renew_pass", "visit_start", "visit_open", "visit_end", "device_remove", ...
	Object  string // what it was done to, in words: "PBX ACME-1 (SN)"
	Outcome string // "ok" or the fault's code
	Detail  string
}

// AuditQuery selects audit entries, newest first.
type AuditQuery struct {
	Search string
	Action string
	Cursor string
	Limit  int
}

// DeviceEvent tells a watcher that a device it may see changed or went.
type DeviceEvent struct {
	Device  Device
	Removed bool
}

// RouteEvent is a change in the route bucket, as control.go hands it in.
type RouteEvent struct {
	Route   bus.Route
	Epoch   string // the bucket's incarnation
	Rev     uint64
	Deleted bool // only Route.Relay and Route.Device are set then
}

// Session is a signed-in user's session. Token is the secret, shown once.
type Session struct {
	Token   string
	Expires time.Time
	User    User
	Account Account
}
