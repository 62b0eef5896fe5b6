package fleet

import (
	"context"
	"errors"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/peercert"
	"trunkline/internal/token"
)

// What a store's errors are told apart by. Whatever else it returns is a bug
// or a broken database.
var (
	ErrNoRow       = errors.New("no such row")
	ErrTaken       = errors.New("taken")                // a unique value exists already
	ErrUnavailable = errors.New("database unavailable") // locked, full, unreadable: may pass
	ErrBadCursor   = errors.New("malformed cursor")
)

// Store keeps the fleet. Both methods call fn at least once and, where the
// database asks for a retry, again: fn has no effects but through its Tx.
type Store interface {
	// Tx runs fn as if it were alone with the database (serialisable), and
	// commits if it returns nil.
	Tx(ctx context.Context, fn func(Tx) error) error
	// View runs fn on one snapshot. Only the reading methods may be called.
	View(ctx context.Context, fn func(Tx) error) error
}

// Tx is one transaction, and lives as long as the call it was handed to. It
// is grouped by what it keeps; a list's methods take a page's cursor and give
// the next one.
type Tx interface {
	accountTx
	deviceTx
	visitTx
	secretTx
	pairTx
	recordTx
	peopleTx
	statsTx
	capacityTx
	licenceTx
	answerTx

	AddAudit(e AuditEntry) error
	// AddAuditOnce is AddAudit unless an entry with that key is there already.
	AddAuditOnce(key string, e AuditEntry) error
	// Audit lists what account may see, newest first; with orphans the entries
	// that belong to no account too.
	Audit(account id.Account, orphans bool, q AuditQuery) (Page[AuditEntry], error)
}

type accountTx interface {
	Root() (Account, error)
	Account(a id.Account) (Account, error)
	AddAccount(a Account) error
	User(u id.User) (User, error)
	UserByEmail(email string) (User, error)
	AddUser(u User) error
	// AddSession keeps at most keep sessions of the user, the newest.
	AddSession(hash string, u id.User, created, expires time.Time, keep int) error
	SessionUser(hash string, now time.Time) (User, error)
	DropSession(hash string) error
	DropSessionsBefore(now time.Time) (int, error)
}

type deviceTx interface {
	Device(d id.Device) (Device, error)
	DeviceBySerial(sn id.Serial) (Device, error)
	DeviceBySite(s id.Site) (Device, error)
	// DevicesByID leaves out the ones that are not there.
	DevicesByID(ids []id.Device) ([]Device, error)
	Devices(account id.Account, q DeviceQuery) (Page[Device], error)
	// ConnectedDevices are those whose kept presence says connected.
	ConnectedDevices() ([]Device, error)
	// AddSite errs with ErrTaken if the label is in use. A site that is
	// licensed counts in its account's Used, here and in UpdateSite.
	AddSite(s Site) error
	Site(s id.Site) (Site, error)
	// UpdateSite writes everything but Account and Created.
	UpdateSite(s Site) error
	// CountSites counts the whole installation's that are licensed.
	CountSites() (int, error)
	AddDevice(d Device) error
	// UpdateDevice writes everything but the presence.
	UpdateDevice(d Device) error
	// SavePresence errs with ErrNoRow for a device that is not there.
	SavePresence(d id.Device, p Presence) error
	// RemoveDevice removes the site too if the device was its last.
	RemoveDevice(d id.Device) error
}

// recordTx keeps what the provider says of devices.
type recordTx interface {
	// DeviceByCode finds the device by the hash of its newest code.
	DeviceByCode(hash string) (Device, error)
	Group(g id.Group) (Group, error)
	Groups(account id.Account) ([]Group, error) // by name
	// GroupPage is a page of Groups.
	GroupPage(account id.Account, cursor string, limit int) (Page[Group], error)
	AddGroup(g Group) error
	UpdateGroup(g Group) error
	RemoveGroup(g id.Group) error
	// AddDeviceEvent ignores one that is there already, and devices that are
	// not. It leaves the device its newest keep entries.
	AddDeviceEvent(d id.Device, c StatusChange, keep int) error
	DeviceEvents(d id.Device, cursor string, limit int) (Page[StatusChange], error)
	// DropAuditBefore drops at most limit entries and says how many.
	DropAuditBefore(t time.Time, limit int) (int, error)
	// RoleRights are a role's rights by group, "" being the default; empty if
	// the account has set none.
	RoleRights(account id.Account, r Role) (map[id.Group]Rights, error)
}

type visitTx interface {
	Visit(v id.Visit) (Visit, error)
	// AddVisit keeps the handover's hash until the visit is opened.
	AddVisit(v Visit, handover string) error
	// UpdateVisit writes Opened, Ended, EndCode and Remote.
	UpdateVisit(v Visit) error
	// CountTraffic sets what was counted for a visit at a place, which is a relay and
	// since when it serves the visit. Counters only grow: a late report of less changes
	// nothing.
	CountTraffic(v id.Visit, at string, in, out, requests int64) error
	Visits(account id.Account, q VisitQuery) (Page[Visit], error)
	// LiveVisitsBy counts the ones not ended, of each of the users that has any.
	LiveVisitsBy(account id.Account, users []id.User) (map[id.User]int, error)
	// LiveVisits are the ones not ended, of device d or ("") of all. A visit
	// that follows whichever of a pair serves is of both.
	LiveVisits(d id.Device) ([]Visit, error)
	// LapsedVisits are those begun after since that ended since they were idle, or since
	// nobody was heard to open them: no relay has barred them.
	LapsedVisits(account id.Account, since time.Time) ([]Visit, error)
	// Handovers gives the hashes and visits that nobody has opened yet.
	Handovers(since time.Time) (map[string]token.Visit, error)
	// OverdueVisits are on record as running at now, but past their end, or
	// never opened and begun before unopened. At most limit.
	OverdueVisits(now, unopened time.Time, limit int) ([]Visit, error)
}

// answerTx keeps the answers to requests that may come again. A row is named by
// a hash of who asks and the key.
type answerTx interface {
	KeptAnswer(row string) (KeptAnswer, error)
	// ClaimAnswer replaces what there is.
	ClaimAnswer(row, request string, at time.Time) error
	// KeepAnswer and DropClaim end the claim of that moment; if it is no more,
	// they change nothing.
	KeepAnswer(row string, at time.Time, sealed []byte) error
	DropClaim(row string, at time.Time) error
	DropAnswersBefore(at time.Time, limit int) (int, error)
}

type secretTx interface {
	SigningKeys() ([]token.SigningKey, error)
	SealKeys() ([]token.SealKey, error)
	AddSigningKey(k token.SigningKey) error
	AddSealKey(k token.SealKey) error
	PeerAuthorities() ([]peercert.Authority, error)
	AddPeerAuthority(a peercert.Authority) error
	// DropKey drops whichever of these has the id.
	DropKey(kid string) error
	// PutRevocation replaces an older one of the same key.
	PutRevocation(key string, r bus.Revocation) error
	Revocations() (map[string]bus.Revocation, error)
	DropRevocationsBefore(now time.Time) (int, error)
}
