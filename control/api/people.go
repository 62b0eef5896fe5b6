package api

import (
	"cmp"
	"context"
	"net/netip"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// peopleFleet is the part of Fleet that keeps people.
type peopleFleet interface {
	Me(context.Context, fleet.Principal) (fleet.User, fleet.Account, error)
	ChangePassword(ctx context.Context, p fleet.Principal, old, next string) error
	Users(context.Context, fleet.Principal, fleet.ListQuery) (fleet.Page[fleet.User], error)
	User(context.Context, fleet.Principal, id.User) (fleet.User, error)
	InviteUser(context.Context, fleet.Principal, fleet.NewUser) (fleet.Invitation, error)
	ReinviteUser(context.Context, fleet.Principal, id.User) (fleet.Invitation, error)
	EditUser(context.Context, fleet.Principal, id.User, fleet.UserEdit) (fleet.User, error)
	RemoveUser(ctx context.Context, p fleet.Principal, u id.User, match string) error
	InvitationOf(ctx context.Context, token string, remote netip.Addr) (fleet.User, fleet.Account, error)
	AcceptInvitation(ctx context.Context, token, password string, remote netip.Addr) (fleet.Session, error)
}

type userPath struct {
	ID id.User `path:"id"`
}

type userMatch struct {
	userPath
	matching
}

type editUser struct {
	userMatch
	controlapi.UserEdit
}

type invitationPath struct {
	Token string `path:"token" max:"128"`
}

type acceptInvitation struct {
	invitationPath
	controlapi.Acceptance
}

func (a *api) me(ctx context.Context, who fleet.Principal, _ none) (controlapi.Me, error) {
	u, account, err := a.fleet.Me(ctx, who)
	return controlapi.Me{
		User: user(u), Account: accountJSON(account), Rights: accessJSON(who.Access), Token: who.Token, Scopes: who.Scopes,
	}, err
}

func (a *api) changePassword(ctx context.Context, who fleet.Principal, q controlapi.PasswordChange) (none, error) {
	return none{}, a.fleet.ChangePassword(ctx, who, q.Old, q.New)
}

func (a *api) users(ctx context.Context, who fleet.Principal, q controlapi.ListQuery) (controlapi.Page[controlapi.User], error) {
	p, err := a.fleet.Users(ctx, who, listQuery(q))
	return page(p, user), err
}

func listQuery(q controlapi.ListQuery) fleet.ListQuery {
	return fleet.ListQuery{Search: q.Search, Cursor: q.Cursor, Limit: cmp.Or(q.Limit, defaultLimit)}
}

func (a *api) user(ctx context.Context, who fleet.Principal, q userPath) (controlapi.User, string, error) {
	return taggedUser(a.fleet.User(ctx, who, q.ID))
}

func taggedUser(u fleet.User, err error) (controlapi.User, string, error) {
	return user(u), u.Tag(), err
}

func (a *api) inviteUser(ctx context.Context, who fleet.Principal, q controlapi.NewUser) (controlapi.Invitation, error) {
	i, err := a.fleet.InviteUser(ctx, who, fleet.NewUser{Email: q.Email, Name: q.Name, Role: fleet.Role(q.Role)})
	return invitation(i), err
}

func (a *api) reinviteUser(ctx context.Context, who fleet.Principal, q userPath) (controlapi.Invitation, error) {
	i, err := a.fleet.ReinviteUser(ctx, who, q.ID)
	return invitation(i), err
}

func (a *api) editUser(ctx context.Context, who fleet.Principal, q editUser) (controlapi.User, string, error) {
	e := fleet.UserEdit{Match: string(q.Match), Name: q.Name, Disabled: q.Disabled}
	if q.Role != nil {
		r := fleet.Role(*q.Role)
		e.Role = &r
	}
	return taggedUser(a.fleet.EditUser(ctx, who, q.ID, e))
}

func (a *api) removeUser(ctx context.Context, who fleet.Principal, q userMatch) (none, error) {
	return none{}, a.fleet.RemoveUser(ctx, who, q.ID, string(q.Match))
}

func (a *api) invitation(ctx context.Context, who fleet.Principal, q invitationPath) (controlapi.Invited, error) {
	u, account, err := a.fleet.InvitationOf(ctx, q.Token, who.Remote)
	return controlapi.Invited{User: user(u), Account: account.Name}, err
}

func (a *api) acceptInvitation(ctx context.Context, who fleet.Principal, q acceptInvitation) (controlapi.Session, error) {
	s, err := a.fleet.AcceptInvitation(ctx, q.Token, q.Password, who.Remote)
	return session(s), err
}

func user(u fleet.User) controlapi.User {
	return controlapi.User{
		ID: u.ID, Email: u.Email, Name: u.Name, Role: string(u.Role), Disabled: u.Disabled,
		Invited: u.Invited, LastSeen: u.LastSeen, Created: u.Created,
	}
}

func invitation(i fleet.Invitation) controlapi.Invitation {
	return controlapi.Invitation{User: user(i.User), Token: i.Token, Expires: i.Expires}
}

func accountJSON(a fleet.Account) controlapi.Account {
	return controlapi.Account{ID: a.ID, Parent: a.Parent, Name: a.Name}
}
