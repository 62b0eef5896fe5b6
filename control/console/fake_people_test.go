package console_test

import (
	"context"
	"net/netip"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const invitation = "InvitationSecretInvitationSecretInvitation1"

func userID(n int) id.User       { return id.User("usr_000000000000000" + string(rune('0'+n))) }
func accountID(n int) id.Account { return id.Account("acc_000000000000000" + string(rune('0'+n))) }
func tokenID(n int) id.Token     { return id.Token("tok_000000000000000" + string(rune('0'+n))) }

func people() []fleet.User {
	return []fleet.User{
		{ID: userID(1), Email: goodEmail, Name: "Ada Lovelace", Role: fleet.RoleAdmin, Created: noon.AddDate(-1, 0, 0), LastSeen: noon.Add(-time.Hour)},
		{ID: userID(2), Email: "bob@acme.example", Name: "Bob <b>", Role: fleet.RoleTechnician, Created: noon.AddDate(0, 0, -1), Invited: noon.Add(24 * time.Hour)},
		{ID: userID(3), Email: "cyd@acme.example", Name: "Cyd", Role: fleet.RoleAuditor, Disabled: true, Created: noon.AddDate(0, -1, 0)},
	}
}

func reseller() fleet.Reseller {
	return fleet.Reseller{
		Account: fleet.Account{ID: accountID(2), Parent: accountID(1), Name: "South Telecom", Allotted: 40, Used: 12, Created: noon.AddDate(0, -3, 0)},
		Below:   10, Devices: 14, Owner: fleet.User{ID: userID(5), Email: "o@south.example", Name: "Olga"},
	}
}

func (f *fake) Me(context.Context, fleet.Principal) (fleet.User, fleet.Account, error) {
	return people()[0], fleet.Account{ID: accountID(1), Name: "ACME Telecom"}, f.done("Me")
}

func (f *fake) ChangePassword(context.Context, fleet.Principal, string, string) error {
	return f.done("ChangePassword")
}

func (f *fake) Users(context.Context, fleet.Principal, fleet.ListQuery) (fleet.Page[fleet.User], error) {
	return fleet.Page[fleet.User]{Items: people(), Total: 3}, f.done("Users")
}

func (f *fake) User(_ context.Context, _ fleet.Principal, u id.User) (fleet.User, error) {
	for _, x := range people() {
		if x.ID == u {
			return x, f.done("User")
		}
	}
	return fleet.User{}, fault.New(fault.NotFound, "There is no such person in your account.")
}

func (f *fake) invited(method string) (fleet.Invitation, error) {
	return fleet.Invitation{User: people()[1], Token: invitation, Expires: noon.Add(48 * time.Hour)}, f.done(method)
}

func (f *fake) InviteUser(context.Context, fleet.Principal, fleet.NewUser) (fleet.Invitation, error) {
	return f.invited("InviteUser")
}

func (f *fake) ReinviteUser(context.Context, fleet.Principal, id.User) (fleet.Invitation, error) {
	return f.invited("ReinviteUser")
}

func (f *fake) EditUser(ctx context.Context, p fleet.Principal, u id.User, _ fleet.UserEdit) (fleet.User, error) {
	return people()[1], f.done("EditUser")
}

func (f *fake) RemoveUser(context.Context, fleet.Principal, id.User, string) error {
	return f.done("RemoveUser")
}

func (f *fake) InvitationOf(_ context.Context, token string, _ netip.Addr) (fleet.User, fleet.Account, error) {
	if token != invitation {
		return fleet.User{}, fleet.Account{}, fault.New(fault.InvitationInvalid, "This invitation is unknown, was used, or has expired. Ask for another one.")
	}
	return people()[1], fleet.Account{Name: "ACME Telecom"}, f.done("InvitationOf")
}

func (f *fake) AcceptInvitation(_ context.Context, token, _ string, _ netip.Addr) (fleet.Session, error) {
	if err := f.done("AcceptInvitation"); err != nil {
		return fleet.Session{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live["session-invited"] = true
	return fleet.Session{Token: "session-invited", User: people()[1]}, nil
}

func (f *fake) RoleRights(context.Context, fleet.Principal) (map[fleet.Role]fleet.Access, error) {
	return map[fleet.Role]fleet.Access{
		fleet.RoleAdmin:      {Default: fleet.AllRights},
		fleet.RoleTechnician: {Default: fleet.See | fleet.VisitAccount, Groups: map[id.Group]fleet.Rights{groupID(1): fleet.See}},
		fleet.RoleAuditor:    {Default: fleet.See},
	}, f.done("RoleRights")
}

func (f *fake) SetRoleRights(_ context.Context, _ fleet.Principal, _ fleet.Role, a fleet.Access, _ string) (fleet.Access, error) {
	f.given = a
	return a, f.done("SetRoleRights")
}

func (f *fake) Resellers(context.Context, fleet.Principal, fleet.ListQuery) (fleet.Page[fleet.Reseller], error) {
	return fleet.Page[fleet.Reseller]{Items: []fleet.Reseller{reseller()}, Total: 1}, f.done("Resellers")
}

func (f *fake) Reseller(_ context.Context, _ fleet.Principal, a id.Account) (fleet.Reseller, error) {
	if a != accountID(2) {
		return fleet.Reseller{}, fault.New(fault.NotFound, "There is no such reseller.")
	}
	return reseller(), f.done("Reseller")
}

func (f *fake) AddReseller(context.Context, fleet.Principal, fleet.NewReseller) (fleet.Reseller, fleet.Invitation, error) {
	i, err := f.invited("AddReseller")
	return reseller(), i, err
}

func (f *fake) EditReseller(context.Context, fleet.Principal, id.Account, fleet.ResellerEdit) (fleet.Reseller, error) {
	return reseller(), f.done("EditReseller")
}

func (f *fake) RemoveReseller(context.Context, fleet.Principal, id.Account, string) error {
	return f.done("RemoveReseller")
}

func (f *fake) Tokens(_ context.Context, _ fleet.Principal, cursor string, limit int) (fleet.Page[fleet.APIToken], error) {
	if f.tokens != nil {
		return cut(f.tokens, cursor, limit), f.done("Tokens")
	}
	return cut([]fleet.APIToken{
		{ID: tokenID(1), User: userID(1), Email: goodEmail, Name: "billing", Scopes: []string{fleet.ScopeAccountRead}, Expires: noon.AddDate(0, 1, 0), LastUsed: noon.Add(-time.Minute)},
		{ID: tokenID(2), User: userID(3), Email: "cyd@acme.example", Name: "old", Scopes: []string{fleet.ScopeAuditRead}, Expires: noon.AddDate(0, -1, 0)},
	}, cursor, limit), f.done("Tokens")
}

func (f *fake) AddToken(_ context.Context, _ fleet.Principal, n fleet.NewToken) (fleet.APIToken, string, error) {
	return fleet.APIToken{ID: tokenID(3), Name: n.Name, Scopes: n.Scopes, Expires: noon.AddDate(0, 1, 0)}, "tlk_SecretSecretSecretSecretSecretSecretSecret1", f.done("AddToken")
}

func (f *fake) RevokeToken(context.Context, fleet.Principal, id.Token) error {
	return f.done("RevokeToken")
}
