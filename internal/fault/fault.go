// Package fault is the one taxonomy of errors that cross a boundary: the API,
// a tunnel's refusal, an error page. A fault has a stable code that programs
// match on and a message that says what to do; whatever is not a fault is
// "internal error" to the outside, with a reference that the log has too.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Code is stable: outside programs and the documentation rely on it.
type Code string

// Anybody's request.
const (
	Internal        Code = "internal"
	Invalid         Code = "invalid_request"
	TooLarge        Code = "too_large"
	TooMany         Code = "too_many_requests"
	NotFound        Code = "not_found"
	Unavailable     Code = "unavailable"
	Forbidden       Code = "forbidden"
	SignInNeeded    Code = "sign_in_needed"
	WrongLogin      Code = "wrong_login"
	CrossSite       Code = "cross_site_request"
	VersionMismatch Code = "version_mismatch"
	Changed         Code = "changed_meanwhile"      // If-Match names another state than the present one
	KeyReused       Code = "idempotency_key_reused" // for another request
	InProgress      Code = "in_progress"            // the same request is being served
	Scope           Code = "insufficient_scope"     // of an API token
)

// Accounts, people and what they are given.
const (
	Taken             Code = "taken"         // a name or an e-mail address that must be unique
	LimitReached      Code = "limit_reached" // there can be no more of something; waiting does not help
	InvitationInvalid Code = "invitation_invalid"
	LastOwner         Code = "last_owner"
	AccountInUse      Code = "account_in_use" // it has connected devices
	LicenceInvalid    Code = "licence_invalid"
)

// Activation, passes and tunnels.
const (
	Rejected       Code = "rejected" // wrong e-mail, password or code: never says which
	ModelRefused   Code = "device_type_refused"
	FirmwareOld    Code = "firmware_too_old"
	NoConnections  Code = "no_connections_left"
	LicenceExpired Code = "licence_expired"
	DeviceClaimed  Code = "device_in_other_account"
	DeviceRemoved  Code = "device_removed"
	PassExpired    Code = "pass_expired"
	PassEarly      Code = "pass_not_yet_valid"
	PassInvalid    Code = "pass_invalid"
	ProofInvalid   Code = "proof_invalid"
	Protocol       Code = "protocol_error"
	HelloTimeout   Code = "hello_timeout"
	PeerSilent     Code = "peer_silent"
	Replaced       Code = "replaced_by_newer_tunnel"
	Draining       Code = "draining"
	RelayLost      Code = "relay_lost"
	ConnectionLost Code = "connection_lost"
	AgentStopped   Code = "agent_stopped"
	NotReady       Code = "not_ready"
	OverCapacity   Code = "over_capacity"     // a device without a connection: its tunnel stays, its visits are refused
	SiteMoved      Code = "site_moved"        // the device's site is another one now: renew the pass
	RemoteOff      Code = "remote_access_off" // switched off on the PBX
)

// Between relays.
const (
	NotHere   Code = "not_at_this_relay" // the device's tunnel is not where it was said to be
	RelayAway Code = "relay_unreachable" // there is no link to the relay that holds it
	Loop      Code = "forwarded_twice"   // what came from one relay was to go on to another
)

// Visits and the edge.
const (
	UnknownHost     Code = "unknown_host"
	UnknownSite     Code = "unknown_site"
	HostMismatch    Code = "host_mismatch"
	VisitNeeded     Code = "visit_needed"
	VisitEnded      Code = "visit_ended" // for a reason that is not said; Endings has those that are
	EndedByStaff    Code = "visit_ended_by_staff"
	EndedByVisitor  Code = "visit_ended_by_visitor"
	VisitIdle       Code = "visit_idle"
	VisitExpired    Code = "visit_expired"        // it reached its longest time
	AccessWithdrawn Code = "access_withdrawn"     // the visitor may not any more
	AccountRemoved  Code = "account_removed"      // and the visit's PBX with it
	Restored        Code = "restored_from_backup" // control's database
	VisitWrongSite  Code = "visit_for_other_site"
	HandoverInvalid Code = "handover_invalid"
	HandoverUsed    Code = "handover_used"
	NotConnected    Code = "not_connected"
	PortalRefused   Code = "portal_refused"
	PortalTimeout   Code = "portal_timeout"
	PortalGarbage   Code = "portal_bad_response"
	PortalReset     Code = "portal_reset"
	HeadersTooLarge Code = "headers_too_large"
	ExpectFailed    Code = "expectation_failed" // an Expect that nobody knows
	EndedByPBX      Code = "visit_ended_by_pbx"
	RolesSwapped    Code = "roles_swapped"       // the site's other device serves now
	LoginFailed     Code = "portal_login_failed" // the agent could not sign the visitor in
)

// statuses maps every code to its HTTP status; a test holds it complete.
var statuses = map[Code]int{
	Internal: 500, Invalid: 400, TooLarge: 413, TooMany: 429, NotFound: 404, Unavailable: 503, Forbidden: 403,
	SignInNeeded: 401, WrongLogin: 401, CrossSite: 403, VersionMismatch: 400,
	Changed: 412, KeyReused: 422, InProgress: 409, Scope: 403,

	Taken: 409, LimitReached: 409, InvitationInvalid: 403, LastOwner: 409, AccountInUse: 409, LicenceInvalid: 422,

	Rejected: 403, ModelRefused: 422, FirmwareOld: 422, NoConnections: 409, LicenceExpired: 403,
	DeviceClaimed: 409, DeviceRemoved: 410, PassExpired: 401, PassEarly: 401, PassInvalid: 401, ProofInvalid: 401,
	Protocol: 400, HelloTimeout: 408, PeerSilent: 408, Replaced: 409, Draining: 503, RelayLost: 503,
	ConnectionLost: 503, AgentStopped: 503, NotReady: 503, OverCapacity: 409, SiteMoved: 409, RemoteOff: 503,

	NotHere: 503, RelayAway: 503, Loop: 508,

	UnknownHost: 421, UnknownSite: 404, HostMismatch: 421, VisitNeeded: 401, VisitEnded: 401, VisitWrongSite: 403,
	HandoverInvalid: 403, HandoverUsed: 403, NotConnected: 503, PortalRefused: 502, PortalTimeout: 504,
	PortalGarbage: 502, PortalReset: 502, HeadersTooLarge: 431, ExpectFailed: 417,
	EndedByStaff: 401, EndedByVisitor: 401, VisitIdle: 401, VisitExpired: 401, AccessWithdrawn: 401, AccountRemoved: 401, Restored: 401,
	EndedByPBX: 401, RolesSwapped: 409, LoginFailed: 502,
}

// Error is a refusal that its receiver may read.
type Error struct {
	Code    Code
	Message string        // for a person: what is wrong and what to do
	Field   string        // the input at fault, in the API's spelling; may be empty
	Retry   time.Duration // when it makes sense to come again; 0: unsaid
}

func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Is makes errors.Is(err, &Error{Code: c}) true for every fault of code c.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// In names the field at fault.
func (e *Error) In(field string) *Error {
	c := *e
	c.Field = field
	return &c
}

// After sets the retry hint.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.Retry = d
	return &c
}

// CodeOf is the code of the fault in err's chain, Internal if there is none
// and "" if err is nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var f *Error
	if errors.As(err, &f) {
		return f.Code
	}
	return Internal
}

// Status is the HTTP status of a code.
func Status(c Code) int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// Codes lists all codes, in no order.
func Codes() []Code {
	out := make([]Code, 0, len(statuses))
	for c := range statuses {
		out = append(out, c)
	}
	return out
}
