package api

import (
	"cmp"
	"context"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// groupFleet is the part of Fleet that keeps groups of devices.
type groupFleet interface {
	Groups(context.Context, fleet.Principal) ([]fleet.Group, error)
	GroupPage(ctx context.Context, p fleet.Principal, cursor string, limit int) (fleet.Page[fleet.Group], error)
	AddGroup(ctx context.Context, p fleet.Principal, name string) (fleet.Group, error)
	RenameGroup(ctx context.Context, p fleet.Principal, g id.Group, name, match string) (fleet.Group, error)
	RemoveGroup(ctx context.Context, p fleet.Principal, g id.Group, match string) error
}

type groupPath struct {
	ID id.Group `path:"id"`
}

type groupMatch struct {
	groupPath
	matching
}

type renameGroup struct {
	groupMatch
	controlapi.GroupName
}

func (a *api) groups(ctx context.Context, who fleet.Principal, q controlapi.PageQuery) (controlapi.Page[controlapi.Group], error) {
	p, err := a.fleet.GroupPage(ctx, who, q.Cursor, cmp.Or(q.Limit, defaultLimit))
	return page(p, groupJSON), err
}

func (a *api) group(ctx context.Context, who fleet.Principal, q groupPath) (controlapi.Group, string, error) {
	return taggedGroup(a.groupByID(ctx, who, q.ID))
}

// groupByID looks in the list, which is short.
func (a *api) groupByID(ctx context.Context, who fleet.Principal, g id.Group) (fleet.Group, error) {
	gs, err := a.fleet.Groups(ctx, who)
	if err != nil {
		return fleet.Group{}, err
	}
	for _, one := range gs {
		if one.ID == g {
			return one, nil
		}
	}
	return fleet.Group{}, fault.New(fault.NotFound, "There is no such group, or it is not yours.")
}

func taggedGroup(g fleet.Group, err error) (controlapi.Group, string, error) {
	return groupJSON(g), g.Tag(), err
}

func (a *api) addGroup(ctx context.Context, who fleet.Principal, q controlapi.GroupName) (controlapi.Group, string, error) {
	return taggedGroup(a.fleet.AddGroup(ctx, who, q.Name))
}

func (a *api) renameGroup(ctx context.Context, who fleet.Principal, q renameGroup) (controlapi.Group, string, error) {
	return taggedGroup(a.fleet.RenameGroup(ctx, who, q.ID, q.Name, string(q.Match)))
}

func (a *api) removeGroup(ctx context.Context, who fleet.Principal, q groupMatch) (none, error) {
	return none{}, a.fleet.RemoveGroup(ctx, who, q.ID, string(q.Match))
}

func groupJSON(g fleet.Group) controlapi.Group {
	return controlapi.Group{ID: g.ID, Name: g.Name, Created: g.Created, Devices: g.Devices}
}
