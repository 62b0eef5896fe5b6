package api

import (
	"cmp"
	"context"
	"errors"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// deviceFleet is the part of Fleet that keeps devices.
type deviceFleet interface {
	Devices(context.Context, fleet.Principal, fleet.DeviceQuery) (fleet.Page[fleet.Device], error)
	EachDevice(ctx context.Context, p fleet.Principal, q fleet.DeviceQuery, ids []id.Device, fn func(fleet.Device) error) error
	Device(context.Context, fleet.Principal, id.Device) (fleet.Device, error)
	DeviceEvents(ctx context.Context, p fleet.Principal, d id.Device, cursor string, limit int) (fleet.Page[fleet.StatusChange], error)
	AddDevice(context.Context, fleet.Principal, fleet.NewDevice) (fleet.Device, fleet.Code, error)
	EditDevice(context.Context, fleet.Principal, id.Device, fleet.DeviceEdit) (fleet.Device, error)
	RemoveDevice(ctx context.Context, p fleet.Principal, d id.Device, match string) error
	RemoveDevices(context.Context, fleet.Principal, []id.Device) ([]fleet.Removal, error)
	ReissueCode(context.Context, fleet.Principal, id.Device, time.Duration) (fleet.Device, fleet.Code, error)
	RevokeCode(context.Context, fleet.Principal, id.Device) (fleet.Device, error)
	WatchFor(context.Context, fleet.Principal, fleet.Watched) <-chan fleet.DeviceEvent
}

type devicePath struct {
	ID id.Device `path:"id"`
}

type deviceMatch struct {
	devicePath
	matching
}

// matching is in every input that If-Match holds for.
type matching struct {
	Match precondition `header:"If-Match,omitempty" example:"-" doc:"An ETag: refuse if what it stands for has been edited since."`
}

type editDevice struct {
	deviceMatch
	controlapi.DeviceEdit
}

type issueCode struct {
	devicePath
	controlapi.CodeRequest
}

type deviceEvents struct {
	devicePath
	controlapi.PageQuery
}

func filter(f controlapi.DeviceFilter) fleet.DeviceQuery {
	return fleet.DeviceQuery{
		Search: f.Search, Status: fleet.Status(f.Status), Sub: f.Scope == "sub", Account: f.Account, Group: string(f.Group),
		Sort: f.Sort, Desc: f.Order == "desc",
	}
}

// checkFilter holds what no single field shows.
func checkFilter(f controlapi.DeviceFilter) error {
	if f.Account != "" && f.Scope != "sub" {
		return invalid("account", "only with scope=sub")
	}
	return nil
}

func (a *api) devices(ctx context.Context, who fleet.Principal, q controlapi.DeviceQuery) (controlapi.DevicePage, error) {
	if err := checkFilter(q.DeviceFilter); err != nil {
		return controlapi.DevicePage{}, err
	}
	f := filter(q.DeviceFilter)
	f.Cursor, f.Limit = q.Cursor, cmp.Or(q.Limit, defaultLimit)
	p, err := a.fleet.Devices(ctx, who, f)
	return page(p, a.deviceJSON), err
}

func (a *api) device(ctx context.Context, who fleet.Principal, q devicePath) (controlapi.Device, string, error) {
	return a.taggedDevice(a.fleet.Device(ctx, who, q.ID))
}

func (a *api) taggedDevice(d fleet.Device, err error) (controlapi.Device, string, error) {
	return a.deviceJSON(d), d.Tag(), err
}

func (a *api) addDevice(ctx context.Context, who fleet.Principal, q controlapi.NewDevice) (controlapi.DeviceCode, error) {
	return a.deviceCode(a.fleet.AddDevice(ctx, who, fleet.NewDevice{
		Name: q.Name, Group: group(q.Group), Comment: q.Comment, Passwordless: q.Passwordless, CodeLife: seconds(q.CodeLifeSeconds),
		Region: q.Region, Second: override(q.SecondTunnel),
	}))
}

func (a *api) issueCode(ctx context.Context, who fleet.Principal, q issueCode) (controlapi.DeviceCode, error) {
	return a.deviceCode(a.fleet.ReissueCode(ctx, who, q.ID, seconds(q.LifeSeconds)))
}

func (a *api) deviceCode(d fleet.Device, c fleet.Code, err error) (controlapi.DeviceCode, error) {
	return controlapi.DeviceCode{Device: a.deviceJSON(d), Code: c.Secret, Expires: c.Expires}, err
}

func (a *api) revokeCode(ctx context.Context, who fleet.Principal, q devicePath) (controlapi.Device, string, error) {
	return a.taggedDevice(a.fleet.RevokeCode(ctx, who, q.ID))
}

func (a *api) editDevice(ctx context.Context, who fleet.Principal, q editDevice) (controlapi.Device, string, error) {
	e := fleet.DeviceEdit{Match: string(q.Match), Name: q.Name, Comment: q.Comment, Passwordless: q.Passwordless, Region: q.Region}
	if q.SecondTunnel != nil {
		o := override(*q.SecondTunnel)
		e.Second = &o
	}
	if q.Group != nil {
		g := group(*q.Group)
		e.Group = &g
	}
	return a.taggedDevice(a.fleet.EditDevice(ctx, who, q.ID, e))
}

func override(s string) fleet.Override {
	if s == controlapi.AsAccount {
		return fleet.AsAccount
	}
	return fleet.Override(s)
}

func (a *api) removeDevice(ctx context.Context, who fleet.Principal, q deviceMatch) (none, error) {
	return none{}, a.fleet.RemoveDevice(ctx, who, q.ID, string(q.Match))
}

func (a *api) removeDevices(ctx context.Context, who fleet.Principal, q controlapi.Removals) (controlapi.List[controlapi.Removal], error) {
	rs, err := a.fleet.RemoveDevices(ctx, who, q.Devices)
	return list(rs, removal), err
}

func removal(r fleet.Removal) controlapi.Removal {
	out := controlapi.Removal{Device: r.Device}
	var refused *fault.Error
	if errors.As(r.Err, &refused) {
		out.Code, out.Detail = refused.Code, refused.Message
	} else if r.Err != nil {
		out.Code = fault.Internal
	}
	return out
}

func (a *api) deviceEvents(ctx context.Context, who fleet.Principal, q deviceEvents) (controlapi.Page[controlapi.StatusChange], error) {
	p, err := a.fleet.DeviceEvents(ctx, who, q.ID, q.Cursor, cmp.Or(q.Limit, defaultLimit))
	return page(p, func(c fleet.StatusChange) controlapi.StatusChange {
		return controlapi.StatusChange{At: c.At, Kind: c.Kind, Reason: c.Reason, ReasonText: controlapi.ReasonText(c.Reason), Detail: c.Detail}
	}), err
}

// group is the id of what was chosen, "" for none.
func group(g controlapi.GroupChoice) id.Group {
	if g == controlapi.NoGroup {
		return ""
	}
	return id.Group(g)
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
