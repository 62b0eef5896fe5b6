package fleet

import (
	"context"
	"errors"
	"net/netip"

	"trunkline/internal/id"
)

// TODO: each of these moves to the file of its topic when it is written. None
// may be left at the end.

var errStub = errors.New("not written yet")

// Devices and codes.

// AddDevice makes a record for a PBX and the code that will bind it.
func (f *Fleet) AddDevice(context.Context, Principal, NewDevice) (Device, Code, error) {
	return Device{}, Code{}, errStub
}

// ReissueCode voids the device's code and makes another one. life 0: 24 h.
func (f *Fleet) ReissueCode(context.Context, Principal, id.Device, NewDevice) (Device, Code, error) {
	return Device{}, Code{}, errStub
}

// RevokeCode voids the device's code.
func (f *Fleet) RevokeCode(context.Context, Principal, id.Device) (Device, error) {
	return Device{}, errStub
}

func (f *Fleet) EditDevice(context.Context, Principal, id.Device, DeviceEdit) (Device, error) {
	return Device{}, errStub
}

// RemoveDevices removes up to 200, each for itself.
func (f *Fleet) RemoveDevices(context.Context, Principal, []id.Device) ([]Removal, error) {
	return nil, errStub
}

// EachDevice calls fn for every device that q selects, or for those of ids if
// there are any, in q's order; it ends at fn's error.
func (f *Fleet) EachDevice(ctx context.Context, p Principal, q DeviceQuery, ids []id.Device, fn func(Device) error) error {
	return errStub
}

// DeviceEvents is a device's timeline, newest first.
func (f *Fleet) DeviceEvents(ctx context.Context, p Principal, d id.Device, cursor string, limit int) (Page[StatusChange], error) {
	return Page[StatusChange]{}, errStub
}

// Groups are all of the account's, by name.
func (f *Fleet) Groups(context.Context, Principal) ([]Group, error) { return nil, errStub }

func (f *Fleet) AddGroup(ctx context.Context, p Principal, name string) (Group, error) {
	return Group{}, errStub
}

func (f *Fleet) RenameGroup(ctx context.Context, p Principal, g id.Group, name, match string) (Group, error) {
	return Group{}, errStub
}

// RemoveGroup leaves its devices without a group.
func (f *Fleet) RemoveGroup(context.Context, Principal, id.Group) error { return errStub }

func (f *Fleet) Overview(context.Context, Principal) (Overview, error) { return Overview{}, errStub }

// EachAudit calls fn for every entry that q selects, newest first.
func (f *Fleet) EachAudit(ctx context.Context, p Principal, q AuditQuery, fn func(AuditEntry) error) error {
	return errStub
}

// EndVisitsOf ends all visits of a person and says how many there were.
func (f *Fleet) EndVisitsOf(context.Context, Principal, id.User) (int, error) { return 0, errStub }

// People.

// Me is who asks, and the account.
func (f *Fleet) Me(context.Context, Principal) (User, Account, error) {
	return User{}, Account{}, errStub
}

func (f *Fleet) ChangePassword(ctx context.Context, p Principal, old, next string) error {
	return errStub
}

func (f *Fleet) Users(context.Context, Principal, ListQuery) (Page[User], error) {
	return Page[User]{}, errStub
}

func (f *Fleet) User(context.Context, Principal, id.User) (User, error) { return User{}, errStub }

func (f *Fleet) InviteUser(context.Context, Principal, NewUser) (Invitation, error) {
	return Invitation{}, errStub
}

// ReinviteUser makes a new link; the old one and the password are void then.
func (f *Fleet) ReinviteUser(context.Context, Principal, id.User) (Invitation, error) {
	return Invitation{}, errStub
}

func (f *Fleet) EditUser(context.Context, Principal, id.User, UserEdit) (User, error) {
	return User{}, errStub
}

func (f *Fleet) RemoveUser(context.Context, Principal, id.User) error { return errStub }

// InvitationOf says whom an invitation is for; fault.InvitationInvalid if it
// is unknown, used or expired.
func (f *Fleet) InvitationOf(ctx context.Context, token string, remote netip.Addr) (User, Account, error) {
	return User{}, Account{}, errStub
}

// AcceptInvitation sets the person's password and signs in.
func (f *Fleet) AcceptInvitation(ctx context.Context, token, password string, remote netip.Addr) (Session, error) {
	return Session{}, errStub
}

// RoleRights are the account's, for every role but the owner.
func (f *Fleet) RoleRights(context.Context, Principal) (map[Role]Access, error) { return nil, errStub }

// SetRoleRights replaces a role's rights. match is a Tag of the present ones.
func (f *Fleet) SetRoleRights(ctx context.Context, p Principal, r Role, a Access, match string) (Access, error) {
	return Access{}, errStub
}

func (f *Fleet) Resellers(context.Context, Principal, ListQuery) (Page[Reseller], error) {
	return Page[Reseller]{}, errStub
}

func (f *Fleet) Reseller(context.Context, Principal, id.Account) (Reseller, error) {
	return Reseller{}, errStub
}

func (f *Fleet) AddReseller(context.Context, Principal, NewReseller) (Reseller, Invitation, error) {
	return Reseller{}, Invitation{}, errStub
}

func (f *Fleet) EditReseller(context.Context, Principal, id.Account, ResellerEdit) (Reseller, error) {
	return Reseller{}, errStub
}

func (f *Fleet) RemoveReseller(context.Context, Principal, id.Account) error { return errStub }

// Tokens are the asker's own; owners and admins see those of the account.
func (f *Fleet) Tokens(context.Context, Principal) ([]APIToken, error) { return nil, errStub }

// AddToken also gives the secret.
func (f *Fleet) AddToken(context.Context, Principal, NewToken) (APIToken, string, error) {
	return APIToken{}, "", errStub
}

func (f *Fleet) RevokeToken(context.Context, Principal, id.Token) error { return errStub }

// Tags, for ETag and Match.

func (d Device) Tag() string  { return "" }
func (u User) Tag() string    { return "" }
func (a Account) Tag() string { return "" }
func (g Group) Tag() string   { return "" }
func (a Access) Tag() string  { return "" }
