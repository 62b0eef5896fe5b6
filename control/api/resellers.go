package api

import (
	"context"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// resellerFleet is the part of Fleet that keeps the accounts below one's own.
type resellerFleet interface {
	Resellers(context.Context, fleet.Principal, fleet.ListQuery) (fleet.Page[fleet.Reseller], error)
	Reseller(context.Context, fleet.Principal, id.Account) (fleet.Reseller, error)
	AddReseller(context.Context, fleet.Principal, fleet.NewReseller) (fleet.Reseller, fleet.Invitation, error)
	EditReseller(context.Context, fleet.Principal, id.Account, fleet.ResellerEdit) (fleet.Reseller, error)
	RemoveReseller(ctx context.Context, p fleet.Principal, a id.Account, match string) error
}

type accountPath struct {
	ID id.Account `path:"id"`
}

type accountMatch struct {
	accountPath
	matching
}

type editReseller struct {
	accountMatch
	controlapi.ResellerEdit
}

func (a *api) resellers(ctx context.Context, who fleet.Principal, q controlapi.ListQuery) (controlapi.Page[controlapi.Reseller], error) {
	p, err := a.fleet.Resellers(ctx, who, listQuery(q))
	return page(p, reseller), err
}

func (a *api) reseller(ctx context.Context, who fleet.Principal, q accountPath) (controlapi.Reseller, string, error) {
	return taggedReseller(a.fleet.Reseller(ctx, who, q.ID))
}

func taggedReseller(r fleet.Reseller, err error) (controlapi.Reseller, string, error) {
	return reseller(r), r.Tag(), err
}

func (a *api) addReseller(ctx context.Context, who fleet.Principal, q controlapi.NewReseller) (controlapi.ResellerInvitation, error) {
	r, i, err := a.fleet.AddReseller(ctx, who, fleet.NewReseller{
		Name: q.Name, Connections: q.Connections, Email: q.Email, Person: q.Person,
	})
	return controlapi.ResellerInvitation{Reseller: reseller(r), Invitation: invitation(i)}, err
}

func (a *api) editReseller(ctx context.Context, who fleet.Principal, q editReseller) (controlapi.Reseller, string, error) {
	return taggedReseller(a.fleet.EditReseller(ctx, who, q.ID, fleet.ResellerEdit{
		Match: string(q.Match), Name: q.Name, Connections: q.Connections,
	}))
}

func (a *api) removeReseller(ctx context.Context, who fleet.Principal, q accountMatch) (none, error) {
	return none{}, a.fleet.RemoveReseller(ctx, who, q.ID, string(q.Match))
}

func reseller(r fleet.Reseller) controlapi.Reseller {
	return controlapi.Reseller{
		ID: r.ID, Name: r.Name, Connections: r.Allotted, Used: r.Used, Below: r.Below, Devices: r.Devices,
		Owner: user(r.Owner), Created: r.Created,
	}
}
