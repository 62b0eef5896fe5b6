package api_test

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	aGroup    = id.Group("grp_0123456789abcdef")
	aToken    = id.Token("tok_0123456789abcdef")
	aReseller = id.Account("acc_fedcba9876543210")
)

var (
	benUser    = fleet.User{ID: aUser, Account: anAccount, Email: "ben@example.com", Name: "Ben", Role: fleet.RoleTechnician, Hash: "$argon2id$secret", Invite: "hash", Invited: then, Created: then}
	branches   = fleet.Group{ID: aGroup, Account: anAccount, Name: "Branches", Created: then, Devices: 3}
	anInvite   = fleet.Invitation{User: benUser, Token: "once", Expires: then}
	resold     = fleet.Reseller{Account: fleet.Account{ID: aReseller, Parent: anAccount, Name: "Resold", Allotted: 5, Used: 2, Created: then}, Below: 1, Devices: 4, Owner: benUser}
	aCode      = fleet.Code{Secret: "K7QM-4XWZ-9T2P-HD3V", Expires: then}
	anAPIToken = fleet.APIToken{ID: aToken, Account: anAccount, User: aUser, Email: "anna@example.com", Name: "Backup", Scopes: []string{"devices:read"}, Created: then, Expires: then}
	seeing     = fleet.Access{Default: fleet.See, Groups: map[id.Group]fleet.Rights{aGroup: fleet.See | fleet.VisitAccount}}
)

func (f *fake) AddDevice(_ context.Context, p fleet.Principal, d fleet.NewDevice) (fleet.Device, fleet.Code, error) {
	err := f.note(p, d)
	return acme, aCode, err
}
func (f *fake) ReissueCode(_ context.Context, p fleet.Principal, d id.Device, life time.Duration) (fleet.Device, fleet.Code, error) {
	err := f.note(p, d, life)
	return acme, aCode, err
}
func (f *fake) RevokeCode(_ context.Context, p fleet.Principal, d id.Device) (fleet.Device, error) {
	return or(acme, f.note(p, d))
}
func (f *fake) EditDevice(_ context.Context, p fleet.Principal, d id.Device, e fleet.DeviceEdit) (fleet.Device, error) {
	return or(acme, f.note(p, d, e))
}
func (f *fake) RemoveDevices(_ context.Context, p fleet.Principal, ds []id.Device) ([]fleet.Removal, error) {
	return or([]fleet.Removal{
		{Device: aDevice}, {Device: aDevice, Err: fault.New(fault.NotFound, "There is no such thing.")}, {Device: aDevice, Err: errors.New("secret path")},
	}, f.note(p, ds))
}
func (f *fake) EachDevice(_ context.Context, p fleet.Principal, q fleet.DeviceQuery, ids []id.Device, fn func(fleet.Device) error) error {
	if err := f.note(p, q, ids); err != nil {
		return err
	}
	return f.each(func() error { return fn(acme) })
}
func (f *fake) DeviceEvents(_ context.Context, p fleet.Principal, d id.Device, cursor string, limit int) (fleet.Page[fleet.StatusChange], error) {
	return or(fleet.Page[fleet.StatusChange]{
		Items: []fleet.StatusChange{{At: then, Kind: "disconnected", Reason: fault.PeerSilent, Detail: "relay-1"}}, Total: 1000, More: true,
	}, f.note(p, d, cursor, limit))
}
func (f *fake) GroupPage(_ context.Context, p fleet.Principal, cursor string, limit int) (fleet.Page[fleet.Group], error) {
	return or(fleet.Page[fleet.Group]{Items: []fleet.Group{branches}, Next: "next", Total: 2}, f.note(p, cursor, limit))
}
func (f *fake) Groups(_ context.Context, p fleet.Principal) ([]fleet.Group, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked == nil {
		f.asked = []any{p}
	}
	return or([]fleet.Group{branches}, f.err)
}
func (f *fake) AddGroup(_ context.Context, p fleet.Principal, name string) (fleet.Group, error) {
	return or(branches, f.note(p, name))
}
func (f *fake) RenameGroup(_ context.Context, p fleet.Principal, g id.Group, name, match string) (fleet.Group, error) {
	return or(branches, f.note(p, g, name, match))
}
func (f *fake) RemoveGroup(_ context.Context, p fleet.Principal, g id.Group, match string) error {
	return f.note(p, g, match)
}
func (f *fake) Overview(_ context.Context, p fleet.Principal) (fleet.Overview, error) {
	return or(fleet.Overview{
		Devices: map[fleet.Status]int{fleet.StatusConnected: 1, fleet.StatusNotActivated: 2}, OverCapacity: 3, Alarms: 4, Visits: 5,
		Subscription: fleet.Subscription{Status: "Trial", Connections: 25, Used: 1},
		Samples:      []fleet.Sample{{At: then, Connected: 1, Devices: 3, Visits: 5}},
	}, f.note(p))
}
func (f *fake) InstallLicense(_ context.Context, p fleet.Principal, file []byte) (fleet.Subscription, error) {
	return or(fleet.Subscription{
		Status: "Subscribed", Holder: "ACME", Plan: "Large", Connections: 1000, Used: 1, Allotted: 10, ResellersUsed: 5, NotBefore: then,
		Expires: then.Add(time.Hour), Warning: "It ends soon.", Next: "It ends.", Features: []string{"x"}, Root: true,
	}, f.note(p, string(file)))
}
func (f *fake) EachAudit(_ context.Context, p fleet.Principal, q fleet.AuditQuery, fn func(fleet.AuditEntry) error) error {
	if err := f.note(p, q); err != nil {
		return err
	}
	return f.each(func() error {
		return fn(fleet.AuditEntry{Seq: 9, At: then, Account: anAccount, Actor: "anna@example.com", Action: "sign_in", Outcome: "ok"})
	})
}

// each calls fn once, or 1,000 times before it fails.
func (f *fake) each(fn func() error) error {
	if f.endless == nil {
		return fn()
	}
	for range 1000 {
		if err := fn(); err != nil {
			return err
		}
	}
	return f.endless
}
func (f *fake) EndVisitsOf(_ context.Context, p fleet.Principal, u id.User) (int, error) {
	return or(3, f.note(p, u))
}
func (f *fake) Me(_ context.Context, p fleet.Principal) (fleet.User, fleet.Account, error) {
	err := f.note(p)
	return benUser, fleet.Account{ID: anAccount, Name: "Root"}, err
}
func (f *fake) ChangePassword(_ context.Context, p fleet.Principal, old, next string) error {
	return f.note(p, old, next)
}
func (f *fake) Users(_ context.Context, p fleet.Principal, q fleet.ListQuery) (fleet.Page[fleet.User], error) {
	return or(fleet.Page[fleet.User]{Items: []fleet.User{benUser}, Total: 1}, f.note(p, q))
}
func (f *fake) User(_ context.Context, p fleet.Principal, u id.User) (fleet.User, error) {
	return or(benUser, f.note(p, u))
}
func (f *fake) InviteUser(_ context.Context, p fleet.Principal, u fleet.NewUser) (fleet.Invitation, error) {
	return or(anInvite, f.note(p, u))
}
func (f *fake) ReinviteUser(_ context.Context, p fleet.Principal, u id.User) (fleet.Invitation, error) {
	return or(anInvite, f.note(p, u))
}
func (f *fake) EditUser(_ context.Context, p fleet.Principal, u id.User, e fleet.UserEdit) (fleet.User, error) {
	return or(benUser, f.note(p, u, e))
}
func (f *fake) RemoveUser(_ context.Context, p fleet.Principal, u id.User, match string) error {
	return f.note(p, u, match)
}
func (f *fake) InvitationOf(_ context.Context, token string, remote netip.Addr) (fleet.User, fleet.Account, error) {
	err := f.note(token, remote)
	return benUser, fleet.Account{ID: anAccount, Name: "Root"}, err
}
func (f *fake) AcceptInvitation(_ context.Context, token, password string, remote netip.Addr) (fleet.Session, error) {
	return or(fleet.Session{Token: goodToken, Expires: then, User: benUser, Account: fleet.Account{ID: anAccount, Name: "Root"}}, f.note(token, password, remote))
}
func (f *fake) RoleRights(_ context.Context, p fleet.Principal) (map[fleet.Role]fleet.Access, error) {
	return or(map[fleet.Role]fleet.Access{fleet.RoleTechnician: seeing, fleet.RoleAdmin: {Default: fleet.AllRights}}, f.note(p))
}
func (f *fake) SetRoleRights(_ context.Context, p fleet.Principal, r fleet.Role, a fleet.Access, match string) (fleet.Access, error) {
	return or(a, f.note(p, r, a, match))
}
func (f *fake) Resellers(_ context.Context, p fleet.Principal, q fleet.ListQuery) (fleet.Page[fleet.Reseller], error) {
	return or(fleet.Page[fleet.Reseller]{Items: []fleet.Reseller{resold}, Total: 1}, f.note(p, q))
}
func (f *fake) Reseller(_ context.Context, p fleet.Principal, a id.Account) (fleet.Reseller, error) {
	return or(resold, f.note(p, a))
}
func (f *fake) AddReseller(_ context.Context, p fleet.Principal, r fleet.NewReseller) (fleet.Reseller, fleet.Invitation, error) {
	err := f.note(p, r)
	return resold, anInvite, err
}
func (f *fake) EditReseller(_ context.Context, p fleet.Principal, a id.Account, e fleet.ResellerEdit) (fleet.Reseller, error) {
	return or(resold, f.note(p, a, e))
}
func (f *fake) RemoveReseller(_ context.Context, p fleet.Principal, a id.Account, match string) error {
	return f.note(p, a, match)
}
func (f *fake) Tokens(_ context.Context, p fleet.Principal, cursor string, limit int) (fleet.Page[fleet.APIToken], error) {
	return or(fleet.Page[fleet.APIToken]{Items: []fleet.APIToken{anAPIToken}, Next: "next", Total: 2}, f.note(p, cursor, limit))
}
func (f *fake) AddToken(_ context.Context, p fleet.Principal, n fleet.NewToken) (fleet.APIToken, string, error) {
	err := f.note(p, n)
	return anAPIToken, "tlk_secret", err
}
func (f *fake) RevokeToken(_ context.Context, p fleet.Principal, t id.Token) error {
	return f.note(p, t)
}

func (f *fake) ClaimRequest(_ context.Context, _ fleet.Principal, key string, request []byte) (*fleet.Claim, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.claims == nil {
		f.claims = map[string]string{}
	}
	f.claims[key] = string(request)
	return &fleet.Claim{}, f.kept, f.claimErr
}
func (f *fake) KeepAnswer(_ context.Context, _ *fleet.Claim, answer []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = answer
	return nil
}
func (f *fake) DropClaim(context.Context, *fleet.Claim) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropped++
	return nil
}
