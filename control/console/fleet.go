package console

import (
	"context"
	"net/netip"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// Fleet is what the console asks of the rules; *fleet.Fleet has it.
type Fleet interface {
	sessionFleet
	deviceFleet
	visitFleet
	accountFleet
	peopleFleet
}

type sessionFleet interface {
	SignIn(ctx context.Context, email, password string, remote netip.Addr) (fleet.Session, error)
	Authenticate(ctx context.Context, token string) (fleet.Principal, error)
	SignOut(ctx context.Context, p fleet.Principal) error
}

type deviceFleet interface {
	Devices(ctx context.Context, p fleet.Principal, q fleet.DeviceQuery) (fleet.Page[fleet.Device], error)
	Device(ctx context.Context, p fleet.Principal, d id.Device) (fleet.Device, error)
	SiteDevice(ctx context.Context, p fleet.Principal, s id.Site) (fleet.Device, error)
	AddDevice(ctx context.Context, p fleet.Principal, n fleet.NewDevice) (fleet.Device, fleet.Code, error)
	EditDevice(ctx context.Context, p fleet.Principal, d id.Device, x fleet.DeviceEdit) (fleet.Device, error)
	ReissueCode(ctx context.Context, p fleet.Principal, d id.Device, life time.Duration) (fleet.Device, fleet.Code, error)
	RevokeCode(ctx context.Context, p fleet.Principal, d id.Device) (fleet.Device, error)
	RemoveDevice(ctx context.Context, p fleet.Principal, d id.Device, match string) error
	RemoveDevices(ctx context.Context, p fleet.Principal, ids []id.Device) ([]fleet.Removal, error)
	EachDevice(ctx context.Context, p fleet.Principal, q fleet.DeviceQuery, ids []id.Device, fn func(fleet.Device) error) error
	DeviceEvents(ctx context.Context, p fleet.Principal, d id.Device, cursor string, limit int) (fleet.Page[fleet.StatusChange], error)
	WatchFor(ctx context.Context, p fleet.Principal, what fleet.Watched) <-chan fleet.DeviceEvent
	Groups(ctx context.Context, p fleet.Principal) ([]fleet.Group, error)
	AddGroup(ctx context.Context, p fleet.Principal, name string) (fleet.Group, error)
	RenameGroup(ctx context.Context, p fleet.Principal, g id.Group, name, match string) (fleet.Group, error)
	RemoveGroup(ctx context.Context, p fleet.Principal, g id.Group, match string) error
}

type visitFleet interface {
	StartVisit(ctx context.Context, p fleet.Principal, q fleet.VisitRequest) (fleet.VisitStart, error)
	EndVisit(ctx context.Context, p fleet.Principal, v id.Visit) error
	EndVisitsOf(ctx context.Context, p fleet.Principal, u id.User) (int, error)
	Visits(ctx context.Context, p fleet.Principal, q fleet.VisitQuery) (fleet.Page[fleet.Visit], error)
	VisitsOn(ctx context.Context, p fleet.Principal, users []id.User) (map[id.User]int, error)
}

type accountFleet interface {
	Overview(ctx context.Context, p fleet.Principal) (fleet.Overview, error)
	Subscription(ctx context.Context, p fleet.Principal) (fleet.Subscription, error)
	InstallLicense(ctx context.Context, p fleet.Principal, file []byte) (fleet.Subscription, error)
	Wish(ctx context.Context, p fleet.Principal) (fleet.Wish, error)
	EditWish(ctx context.Context, p fleet.Principal, x fleet.WishEdit) (fleet.Wish, error)
	Relays(ctx context.Context, p fleet.Principal, q fleet.RelayQuery) (fleet.Page[fleet.Relay], error)
	Audit(ctx context.Context, p fleet.Principal, q fleet.AuditQuery) (fleet.Page[fleet.AuditEntry], error)
	EachAudit(ctx context.Context, p fleet.Principal, q fleet.AuditQuery, fn func(fleet.AuditEntry) error) error
}

type peopleFleet interface {
	Me(ctx context.Context, p fleet.Principal) (fleet.User, fleet.Account, error)
	ChangePassword(ctx context.Context, p fleet.Principal, old, next string) error
	Users(ctx context.Context, p fleet.Principal, q fleet.ListQuery) (fleet.Page[fleet.User], error)
	User(ctx context.Context, p fleet.Principal, u id.User) (fleet.User, error)
	InviteUser(ctx context.Context, p fleet.Principal, n fleet.NewUser) (fleet.Invitation, error)
	ReinviteUser(ctx context.Context, p fleet.Principal, u id.User) (fleet.Invitation, error)
	EditUser(ctx context.Context, p fleet.Principal, u id.User, x fleet.UserEdit) (fleet.User, error)
	RemoveUser(ctx context.Context, p fleet.Principal, u id.User, match string) error
	InvitationOf(ctx context.Context, token string, remote netip.Addr) (fleet.User, fleet.Account, error)
	AcceptInvitation(ctx context.Context, token, password string, remote netip.Addr) (fleet.Session, error)
	RoleRights(ctx context.Context, p fleet.Principal) (map[fleet.Role]fleet.Access, error)
	SetRoleRights(ctx context.Context, p fleet.Principal, r fleet.Role, a fleet.Access, match string) (fleet.Access, error)
	Resellers(ctx context.Context, p fleet.Principal, q fleet.ListQuery) (fleet.Page[fleet.Reseller], error)
	Reseller(ctx context.Context, p fleet.Principal, a id.Account) (fleet.Reseller, error)
	AddReseller(ctx context.Context, p fleet.Principal, n fleet.NewReseller) (fleet.Reseller, fleet.Invitation, error)
	EditReseller(ctx context.Context, p fleet.Principal, a id.Account, x fleet.ResellerEdit) (fleet.Reseller, error)
	RemoveReseller(ctx context.Context, p fleet.Principal, a id.Account, match string) error
	Tokens(ctx context.Context, p fleet.Principal, cursor string, limit int) (fleet.Page[fleet.APIToken], error)
	AddToken(ctx context.Context, p fleet.Principal, n fleet.NewToken) (fleet.APIToken, string, error)
	RevokeToken(ctx context.Context, p fleet.Principal, t id.Token) error
}
