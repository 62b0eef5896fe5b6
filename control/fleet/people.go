package fleet

import (
	"net/netip"
	"time"

	"trunkline/internal/id"
)

// Role is what a user is in the user's account. What a role may do with the
// account's devices is set by group; see Rights.
type Role string

const (
	RoleOwner      Role = "owner"      // everything, always
	RoleAdmin      Role = "admin"      //
	RoleTechnician Role = "technician" //
	RoleAuditor    Role = "auditor"    // reads everything, changes nothing, visits nothing
)

// Account is a provider (the root) or a reseller (Parent set).
type Account struct {
	ID       id.Account
	Parent   id.Account // "" for the root
	Path     string     // the ids from the root to this one, each with a slash after it
	Name     string
	Allotted int // connections given by the parent; the root's are the licence's
	Used     int // its own sites that take a connection
	Wish     Wish
	Created  time.Time
}

// User is a person in one account.
type User struct {
	ID       id.User
	Account  id.Account
	Email    string // lower case
	Name     string
	Role     Role
	Hash     string // argon2id, PHC string; "" until the invitation is accepted, and outside of the rules
	Disabled bool
	Invite   string    // hash of the invitation; "" outside of the rules
	Invited  time.Time // when that expires; zero once it was accepted
	LastSeen time.Time // last sign-in; zero: never
	Created  time.Time
}

// Principal is who asks: a signed-in user, a user's API token, or nobody (the
// zero value).
type Principal struct {
	User    id.User
	Account id.Account
	Email   string
	Name    string
	Role    Role
	Access  Access
	Remote  netip.Addr
	// Session is the hash under which the principal's session is stored.
	Session string
	// Token is set if an API token asks; Scopes are then what it may.
	Token  id.Token
	Scopes []string
}

// Rights are what somebody may do with devices.
type Rights uint8

const (
	See               Rights = 1 << iota
	VisitAccount             // by account login
	VisitPasswordless        //
	ManageDevices            // add, edit, remove
	ManagePeople             // of the account; the same for every group
	AllRights         = See | VisitAccount | VisitPasswordless | ManageDevices | ManagePeople
)

// Has reports whether r has all of want.
func (r Rights) Has(want Rights) bool { return r&want == want }

// Access is a role's rights in one account.
type Access struct {
	Default Rights              // on devices without a group, and of groups that are not listed
	Groups  map[id.Group]Rights // nil: the default everywhere
}

// On is what may be done with devices of group g ("": none).
func (a Access) On(g id.Group) Rights {
	if r, ok := a.Groups[g]; ok && g != "" {
		return r
	}
	return a.Default
}

// Filter selects the groups on whose devices Access has want.
func (a Access) Filter(want Rights) GroupFilter {
	f := GroupFilter{Except: a.Default.Has(want)}
	for g, r := range a.Groups {
		if r.Has(want) != f.Except {
			f.Groups = append(f.Groups, g)
		}
	}
	return f
}

// DefaultRights are a role's until its account sets others.
func DefaultRights(r Role) Rights {
	switch r {
	case RoleOwner, RoleAdmin:
		return AllRights
	case RoleTechnician:
		return See | VisitAccount | VisitPasswordless
	case RoleAuditor:
		return See
	}
	return 0
}

// Group of devices of one account.
type Group struct {
	ID      id.Group
	Account id.Account
	Name    string
	Created time.Time
	Devices int // up to MaxTotal; lists fill it in
}

// Reseller is an account below one's own, as its parent sees it.
type Reseller struct {
	Account
	Below   int  // connections that it has given on
	Devices int  // its own, up to MaxTotal
	Owner   User // the first of its owners
}

// APIToken is a user's, for programs. Its secret is shown once.
type APIToken struct {
	ID       id.Token
	Account  id.Account
	User     id.User
	Email    string // the user's
	Name     string
	Scopes   []string
	Created  time.Time
	Expires  time.Time
	LastUsed time.Time // to the minute; zero: never
}

// Invitation lets a person choose the first password, or a new one. Token is
// secret, of one use, and shown once.
type Invitation struct {
	User    User
	Token   string
	Expires time.Time
}

// What an API token may be given. The console's sessions have all.
const (
	ScopeDevicesRead  = "devices:read"
	ScopeDevicesWrite = "devices:write"
	ScopeVisitsRead   = "visits:read"
	ScopeVisitsWrite  = "visits:write"
	ScopePeopleRead   = "people:read"
	ScopePeopleWrite  = "people:write"
	ScopeAccountRead  = "account:read" // subscription, overview
	ScopeAccountWrite = "account:write"
	ScopeAuditRead    = "audit:read"
)

// Scopes lists all, in the order in which they are shown.
func Scopes() []string {
	return []string{
		ScopeDevicesRead, ScopeDevicesWrite, ScopeVisitsRead, ScopeVisitsWrite,
		ScopePeopleRead, ScopePeopleWrite, ScopeAccountRead, ScopeAccountWrite, ScopeAuditRead,
	}
}
