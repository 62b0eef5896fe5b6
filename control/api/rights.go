package api

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// rightsFleet is the part of Fleet that keeps what roles and tokens may.
type rightsFleet interface {
	RoleRights(context.Context, fleet.Principal) (map[fleet.Role]fleet.Access, error)
	SetRoleRights(ctx context.Context, p fleet.Principal, r fleet.Role, a fleet.Access, match string) (fleet.Access, error)
	Tokens(ctx context.Context, p fleet.Principal, cursor string, limit int) (fleet.Page[fleet.APIToken], error)
	AddToken(context.Context, fleet.Principal, fleet.NewToken) (fleet.APIToken, string, error)
	RevokeToken(context.Context, fleet.Principal, id.Token) error
}

type rolePath struct {
	Role string `path:"role" enum:"admin,technician,auditor"`
}

type setRole struct {
	rolePath
	matching
	controlapi.Access
}

type tokenPath struct {
	ID id.Token `path:"id"`
}

// rights in the order in which they are shown.
var rights = []struct {
	right fleet.Rights
	name  string
}{
	{fleet.See, "see"}, {fleet.VisitAccount, "visit_account"}, {fleet.VisitPasswordless, "visit_passwordless"},
	{fleet.ManageDevices, "manage_devices"}, {fleet.ManagePeople, "manage_people"},
}

func (a *api) roles(ctx context.Context, who fleet.Principal, _ none) (controlapi.List[controlapi.RoleRights], error) {
	all, err := a.fleet.RoleRights(ctx, who)
	out := controlapi.List[controlapi.RoleRights]{Items: []controlapi.RoleRights{}}
	for _, r := range []fleet.Role{fleet.RoleAdmin, fleet.RoleTechnician, fleet.RoleAuditor} {
		if access, ok := all[r]; ok {
			out.Items = append(out.Items, controlapi.RoleRights{Role: string(r), Rights: accessJSON(access)})
		}
	}
	return out, err
}

func (a *api) role(ctx context.Context, who fleet.Principal, q rolePath) (controlapi.RoleRights, string, error) {
	all, err := a.fleet.RoleRights(ctx, who)
	access, ok := all[fleet.Role(q.Role)]
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "There is no such role.")
	}
	return controlapi.RoleRights{Role: q.Role, Rights: accessJSON(access)}, access.Tag(), err
}

func (a *api) setRole(ctx context.Context, who fleet.Principal, q setRole) (controlapi.RoleRights, string, error) {
	wanted, err := access(q.Access)
	if err != nil {
		return controlapi.RoleRights{}, "", err
	}
	set, err := a.fleet.SetRoleRights(ctx, who, fleet.Role(q.Role), wanted, string(q.Match))
	return controlapi.RoleRights{Role: q.Role, Rights: accessJSON(set)}, set.Tag(), err
}

func access(q controlapi.Access) (fleet.Access, error) {
	out := fleet.Access{Default: rightsOf(q.Default)}
	for _, g := range q.Groups {
		if _, twice := out.Groups[g.Group]; twice {
			return fleet.Access{}, invalid("groups", "a group is there twice")
		}
		if out.Groups == nil {
			out.Groups = map[id.Group]fleet.Rights{}
		}
		out.Groups[g.Group] = rightsOf(g.Rights)
	}
	return out, nil
}

// rightsOf has names that the decoder has checked.
func rightsOf(names []string) fleet.Rights {
	var out fleet.Rights
	for _, r := range rights {
		if slices.Contains(names, r.name) {
			out |= r.right
		}
	}
	return out
}

func accessJSON(a fleet.Access) controlapi.Access {
	out := controlapi.Access{Default: names(a.Default)}
	for g, r := range a.Groups {
		out.Groups = append(out.Groups, controlapi.GroupAccess{Group: g, Rights: names(r)})
	}
	slices.SortFunc(out.Groups, func(a, b controlapi.GroupAccess) int { return strings.Compare(string(a.Group), string(b.Group)) })
	return out
}

func names(r fleet.Rights) []string {
	out := []string{}
	for _, one := range rights {
		if r.Has(one.right) {
			out = append(out, one.name)
		}
	}
	return out
}

func (a *api) tokens(ctx context.Context, who fleet.Principal, q controlapi.PageQuery) (controlapi.Page[controlapi.APIToken], error) {
	p, err := a.fleet.Tokens(ctx, who, q.Cursor, cmp.Or(q.Limit, defaultLimit))
	return page(p, tokenJSON), err
}

func (a *api) addToken(ctx context.Context, who fleet.Principal, q controlapi.NewToken) (controlapi.TokenSecret, error) {
	t, secret, err := a.fleet.AddToken(ctx, who, fleet.NewToken{Name: q.Name, Scopes: q.Scopes, Life: seconds(q.LifeSeconds)})
	return controlapi.TokenSecret{Token: tokenJSON(t), Secret: secret}, err
}

func (a *api) revokeToken(ctx context.Context, who fleet.Principal, q tokenPath) (none, error) {
	return none{}, a.fleet.RevokeToken(ctx, who, q.ID)
}

func tokenJSON(t fleet.APIToken) controlapi.APIToken {
	return controlapi.APIToken{
		ID: t.ID, User: t.User, Email: t.Email, Name: t.Name, Scopes: append([]string{}, t.Scopes...),
		Created: t.Created, Expires: t.Expires, LastUsed: t.LastUsed,
	}
}
