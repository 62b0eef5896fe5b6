package fleet

import (
	"crypto/ed25519"
	"net/netip"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// Status of a device as staff see it.
type Status string

const (
	StatusConnected    Status = "connected"
	StatusDisconnected Status = "disconnected"
	StatusNever        Status = "never_connected"
	StatusNotActivated Status = "not_activated" // added, and waiting for its PBX
)

// Presence is a device's status, why, and since when.
type Presence struct {
	Status Status
	Reason fault.Code // why disconnected; while connected, why its portal does not answer, "" if it does
	Since  time.Time  // UTC
	Relay  id.Relay
	Remote string // the agent's address
	Agent  string // the agent's version
	Logins tunnel.Logins

	// Unknown is since when nothing is known of the device, because control and
	// the bus do not reach each other: the rest is what was known last. Zero: it
	// is known. It is said by a list or a look-up, and not kept.
	Unknown time.Time
}

// Device is one PBX server. One that was added and not activated yet has no
// Site, Serial and Key.
type Device struct {
	ID           id.Device
	Account      id.Account
	Site         id.Site
	Serial       id.Serial
	Name         string
	Group        id.Group // "" if none
	Comment      string
	Passwordless bool     // allowed by the provider; the PBX has a switch of its own
	Region       string   // where its tunnels should be; "": where the account's should
	Second       Override // whether it keeps a second tunnel
	Model        string
	Firmware     string
	Key          ed25519.PublicKey
	Created      time.Time
	Activated    time.Time
	Presence     Presence
	Code         CodeState

	// HotStandby is what the PBX last said.
	HotStandby HotStandby
	// Joined is when it joined the site of a peer that has not named it back
	// yet; zero: nothing is open.
	Joined time.Time
	// Issued is when the newest pass was issued, Void the moment at and before
	// which issued passes are void (zero: none are). Both in whole seconds.
	Issued time.Time
	Void   time.Time

	// What follows is not the device's own; a list or a look-up fills it in.
	Mark         Mark      // "" outside of a pair
	Peer         id.Device // the pair's other member
	Alarm        string    // what is wrong with the pair: one of package standby's
	OverCapacity bool      // its site has no connection
	Owner        string    // the account's name
}

// Mark of a pair's member.
type Mark string

const (
	MarkActive  Mark = "active"
	MarkStandby Mark = "standby"
)

// HotStandby is what a PBX says of its pair; the zero value is a single PBX.
type HotStandby struct {
	Enabled bool
	Type    string // primary or secondary
	Role    string // active or standby
	Peer    id.Serial
	Claim   uint64 // see tunnel.Standby
}

// Site is what staff visit: a single device or a pair.
type Site struct {
	ID       id.Site
	Account  id.Account
	Created  time.Time
	Licensed bool      // it has a connection
	Active   id.Device // of a pair: who serves
	Epoch    uint64    // grows with each change of Active
	Claim    uint64    // by which Active serves
	Alarm    string    // what is wrong with the pair
}

// CodeState is an authentication code as the database has it. The code itself
// is shown once and not kept.
type CodeState struct {
	Hash    string    // SHA-256, hex; "" if there is none
	Expires time.Time // UTC
	Used    time.Time // zero: not yet
}

// StatusChange is an entry of a device's timeline.
type StatusChange struct {
	At     time.Time
	Kind   string // a Status, or "activated", "roles_swapped", ...
	Reason fault.Code
	Detail string
}

// Activation is what an agent asks: by Code, or by Email and Password.
type Activation struct {
	Serial     id.Serial
	Model      string
	Firmware   string
	Key        ed25519.PublicKey
	Proof      []byte // controlapi.ActivationProof by Key
	HotStandby HotStandby
	Code       string
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
	// Second is where a second tunnel is to be kept, in the order to try, at a
	// relay other than the first one's; nil: none is to be.
	Second []tunnel.Place
	Region string // whose relays come first in both; "": any

	OverCapacity   bool          // as of the device
	LicenceExpired bool          // visits are refused
	LicenceLeft    time.Duration // until they will be; 0: no end is known
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
	Status        string // "Subscribed", "Trial", "Not Subscribed"
	Holder        string
	Plan          string
	Connections   int       // what the account has in all
	Used          int       // by its own sites
	Allotted      int       // to its resellers
	ResellersUsed int       // of that, by them and theirs
	NotBefore     time.Time // zero: always
	Expires       time.Time // zero: never
	Grace         bool      // expired, and everything goes on for now
	GraceEnds     time.Time // zero: never
	Warning       string    // what is due and what to do; "" if nothing is
	Next          string    // what happens next, in a sentence
	Features      []string
	Root          bool // the licence is this account's to install
}

// DeviceQuery selects and orders devices. Page by Cursor; Limit 1 to 200.
type DeviceQuery struct {
	Search  string     // in name, serial, site, model, comment; case-insensitive
	Status  Status     // "": all
	Sub     bool       // the devices of the accounts below, and not the account's own
	Account id.Account // with Sub: of this one only
	Group   string     // "": all; GroupNone: those without one; else an id.Group
	Sort    string     // "name" (default), "since", "serial"
	Desc    bool
	Cursor  string
	Limit   int

	// Seen narrows the groups to those whose devices the asker may see. The
	// rules fill it in.
	Seen GroupFilter
}

// GroupNone selects devices that are in no group.
const GroupNone = "none"

// GroupFilter is a set of groups, or of all but some. "" is no group.
type GroupFilter struct {
	Except bool // all but Groups; the zero value with Except true is everything
	Groups []id.Group
}

// Page is part of a list; Next is "" on the last one. Total is counted up to
// MaxTotal, or less far in a search that much matches: if More is set there
// are more.
type Page[T any] struct {
	Items []T
	Next  string
	Total int
	More  bool
}

// MaxTotal is how far lists are counted, so that a page of a long list costs
// no more than one of a short list.
const MaxTotal = 1000

// VisitRequest asks for a visit of a site's active device, or of one device.
type VisitRequest struct {
	Device id.Device // this one, whatever its role; or
	Site   id.Site   // the site, wherever it is served
	Method string    // token.MethodAccount (default) or token.MethodPasswordless
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

// VisitQuery selects visits, newest first.
type VisitQuery struct {
	Live   bool // only those that are on
	Ended  bool // only the others
	Device id.Device
	User   id.User
	Cursor string
	Limit  int

	// Seen, if set, narrows to the groups whose devices Self may see, and to
	// Self's own visits; one that selects all is not set. The rules fill it in.
	Seen *GroupFilter
	Self id.User
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

	token id.Token // by which the actor asked; the detail says so
}

// AuditQuery selects audit entries, newest first.
type AuditQuery struct {
	Search  string
	Action  string
	Actor   string    // e-mail
	Outcome string    // "ok", "refused", or a fault's code
	From    time.Time // zero: open
	To      time.Time // zero: open; the entry's time is before it
	Cursor  string
	Limit   int
}

// DeviceEvent tells a watcher that a device it may see changed or went.
type DeviceEvent struct {
	Device  Device
	Removed bool
	// Edited: something else than its connection changed, so that it may be new,
	// or be in other lists, or what is counted may be more or less.
	Edited bool
	Visit  bool // it is as it was: a visit to it began, was opened or ended
}

// Watched is what a watcher is told of.
type Watched struct {
	Below  bool // the devices of the accounts below, and not the account's own
	Visits bool // also visits to the account's devices
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
