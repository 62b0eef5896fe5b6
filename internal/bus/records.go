package bus

import (
	"strings"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// What the planes tell each other. All of it can be lost: control refills
// keys, revocations and sites' facts from SQL, relays refill their routes.

// Buckets, and the form of their keys.
const (
	Routes      = "routes"      // <relay>.<device>: written by that relay only
	Relays      = "relays"      // <relay>: the lease, renewed every LeaseEvery
	Keys        = "keys"        // pass.<kid>, visit.<kid> and peer.<id>: written by control
	Revocations = "revocations" // device.<id> and visit.<id>: written by control
	Handovers   = "handovers"   // <sha-256 of the token, hex>: control creates, a relay redeems
	Alive       = "alive"       // what control writes to know that it can: nobody reads it, and no relay may
)

// How long a relay's word is good for: a relay that is gone, or hangs, is known
// to be within 10 s, which is TTL, control's doubt and two ticks.
const (
	LeaseEvery = 2 * time.Second
	LeaseTTL   = 6 * time.Second
)

// Route says that a relay holds, or has lately lost, a device's tunnel. Of
// several entries for one device that one counts whose tunnel was first told of
// last, by KV revision: what is said of it later makes it no newer.
type Route struct {
	Relay   id.Relay        `json:"relay"`
	Device  id.Device       `json:"device"`
	Site    id.Site         `json:"site"`
	Account id.Account      `json:"account"`
	Tunnel  id.Tunnel       `json:"tunnel"`
	Since   time.Time       `json:"since"`           // of the state, UTC
	Down    fault.Code      `json:"down,omitempty"`  // why the tunnel ended; "" while it is up
	Fault   fault.Code      `json:"fault,omitempty"` // of an up tunnel: why the portal behind it does not answer
	Portal  tunnel.Portal   `json:"portal"`
	Standby *tunnel.Standby `json:"standby,omitempty"` // of a hot-standby pair's member
	Logins  tunnel.Logins   `json:"logins,omitzero"`
	Agent   string          `json:"agent,omitempty"`  // version
	Remote  string          `json:"remote,omitempty"` // the agent's address as the relay sees it
	// Second: the tunnel is kept for when the first one, at another relay, is lost.
	Second bool `json:"second,omitempty"`
}

// Lease says that a relay lives and where agents can dial it.
type Lease struct {
	Relay    id.Relay  `json:"relay"`
	Addrs    []string  `json:"addrs"` // host:port
	Started  time.Time `json:"started"`
	Draining bool      `json:"draining,omitempty"`
	// Peer is where other relays dial it, host:port, and PeerVersions what it
	// speaks with them; "": it holds no links.
	Peer         string `json:"peer,omitempty"`
	PeerVersions []int  `json:"peer_versions,omitempty"`
	Region       string `json:"region,omitempty"`
	// OwnName: it reports visits in its own name, and otherwise only to controls of
	// before, which do not hear that.
	OwnName bool `json:"own_name,omitempty"`
	Load    Load `json:"load,omitzero"`
	// Version and Labels are for the operators' eyes alone.
	Version string            `json:"version,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"` // CheckLabels
}

// Load is how busy a relay is. It is as old as the lease: 5 s.
type Load struct {
	Tunnels    int     `json:"tunnels,omitempty"`
	TunnelsMax int     `json:"tunnels_max,omitempty"`
	CPU        float64 `json:"cpu,omitempty"` // of the processors it may use, the share used since the lease before; 0 to 1
}

// Revocation ends a device's tunnels, or a visit, at once and everywhere.
type Revocation struct {
	Code  fault.Code `json:"code"`
	At    time.Time  `json:"at"`
	Until time.Time  `json:"until"` // after this nothing it revokes can still be valid
}

// Handover is what a handover's token gives, once.
type Handover struct {
	Visit   token.Visit `json:"visit"`
	Expires time.Time   `json:"expires"`
	Used    bool        `json:"used,omitempty"`
}

// VisitEvent is what a relay reports of a visit: RPC subject "visit.event", in the
// relay's own name.
type VisitEvent struct {
	Visit    id.Visit   `json:"visit"`
	Relay    id.Relay   `json:"relay"` // for controls of before
	Kind     string     `json:"kind"`  // "opened", "ended", "handover_refused", "traffic"
	Code     fault.Code `json:"code,omitempty"`
	At       time.Time  `json:"at"`
	Remote   string     `json:"remote,omitempty"` // the browser's address
	Since    time.Time  `json:"since,omitzero"`   // what follows counts from then
	BytesIn  int64      `json:"bytes_in,omitempty"`
	BytesOut int64      `json:"bytes_out,omitempty"`
	Requests int64      `json:"requests,omitempty"`
	Trace    string     `json:"trace,omitempty"` // of the visit, a traceparent
}

// PeerRequest asks for a certificate that other relays know this one by: RPC
// subject "peer.certificate", in the relay's own name.
type PeerRequest struct {
	Request []byte `json:"request"` // PKCS #10, DER
}

// PeerCertificate is the answer.
type PeerCertificate struct {
	Cert []byte `json:"cert"` // DER
}

// RPC subjects.
const (
	SubjectVisitEvent      = "visit.event"
	SubjectPeerCertificate = "peer.certificate"
)

// SubjectDevices is of notices: a device is another one now than on the screens.
const SubjectDevices = "devices"

// DeviceNotice says that control changed or removed a device, or that a visit to it
// began, was opened or ended. The facts are in the database; of a removed one, what
// says who may be told is here.
type DeviceNotice struct {
	From    string     `json:"from"`             // the control node
	Device  id.Device  `json:"device,omitempty"` // "" of a visit to whichever of Site's serves
	Removed bool       `json:"removed,omitempty"`
	Visit   bool       `json:"visit,omitempty"`
	Account id.Account `json:"account,omitempty"`
	Group   id.Group   `json:"group,omitempty"`
	Site    id.Site    `json:"site,omitempty"`
}

// SubjectWishes is of notices to relays: where tunnels should be is another place
// than before, and agents learn of it with a new pass.
const SubjectWishes = "wishes"

// WishNotice says whose agents are to learn of it.
type WishNotice struct {
	Account id.Account `json:"account"`
	Device  id.Device  `json:"device,omitempty"` // "": all of the account's
	// WithinMS is how long, in milliseconds, all of them may take: each asks control
	// for a pass, which alone knows how many they are, whatever their relays.
	WithinMS int64 `json:"within_ms,omitempty"`
}

// RouteKey is a route's key in its bucket.
func RouteKey(r id.Relay, d id.Device) string { return string(r) + "." + string(d) }

// SplitRouteKey is RouteKey's inverse.
func SplitRouteKey(key string) (r id.Relay, d id.Device, ok bool) {
	rs, ds, ok := strings.Cut(key, ".")
	if !ok || r.UnmarshalText([]byte(rs)) != nil || d.UnmarshalText([]byte(ds)) != nil {
		return "", "", false
	}
	return r, d, true
}
