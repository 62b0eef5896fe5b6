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
