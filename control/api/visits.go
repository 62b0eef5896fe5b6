package api

import (
	"cmp"
	"context"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// visitFleet is the part of Fleet that keeps visits.
type visitFleet interface {
	StartVisit(context.Context, fleet.Principal, fleet.VisitRequest) (fleet.VisitStart, error)
	EndVisit(context.Context, fleet.Principal, id.Visit) error
	EndVisitsOf(context.Context, fleet.Principal, id.User) (int, error)
	Visits(ctx context.Context, p fleet.Principal, q fleet.VisitQuery) (fleet.Page[fleet.Visit], error)
}

type visitPath struct {
	ID id.Visit `path:"id"`
}

type visitsOf struct {
	User id.User `query:"user" doc:"Whose."`
}

func (a *api) startVisit(ctx context.Context, who fleet.Principal, q controlapi.VisitRequest) (controlapi.VisitStart, error) {
	if (q.Device == "") == (q.Site == "") {
		return controlapi.VisitStart{}, invalid("device", "need either device or site")
	}
	v, err := a.fleet.StartVisit(ctx, who, fleet.VisitRequest{Device: q.Device, Site: q.Site, Method: q.Method})
	return controlapi.VisitStart{Visit: visit(fleet.Visit{Visit: v.Visit}), URL: v.URL, Handover: v.Handover}, err
}

func (a *api) endVisit(ctx context.Context, who fleet.Principal, q visitPath) (none, error) {
	return none{}, a.fleet.EndVisit(ctx, who, q.ID)
}

func (a *api) endVisitsOf(ctx context.Context, who fleet.Principal, q visitsOf) (controlapi.Ended, error) {
	n, err := a.fleet.EndVisitsOf(ctx, who, q.User)
	return controlapi.Ended{Ended: n}, err
}

func (a *api) visits(ctx context.Context, who fleet.Principal, q controlapi.VisitQuery) (controlapi.VisitPage, error) {
	if q.Live && q.Ended {
		return controlapi.VisitPage{}, invalid("ended", "not with live: a visit is on or over")
	}
	p, err := a.fleet.Visits(ctx, who, fleet.VisitQuery{
		Live: q.Live, Ended: q.Ended, Device: q.Device, User: q.User, Cursor: q.Cursor, Limit: cmp.Or(q.Limit, defaultLimit),
	})
	return page(p, visit), err
}
