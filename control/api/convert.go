package api

import (
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
)

// From fleet's values to the API's.

func (a *api) deviceJSON(d fleet.Device) controlapi.Device {
	p := d.Presence
	return controlapi.Device{
		ID: d.ID, Site: d.Site, URL: a.siteURL(d.Site), Serial: d.Serial, Name: d.Name, Model: d.Model, Firmware: d.Firmware,
		Activated: d.Activated, Status: string(p.Status), Reason: p.Reason, ReasonText: controlapi.ReasonText(p.Reason),
		Since: p.Since, Relay: p.Relay, Remote: p.Remote, Agent: p.Agent,
	}
}

func (a *api) deviceEvent(e fleet.DeviceEvent) controlapi.DeviceEvent {
	out := controlapi.DeviceEvent{ID: e.Device.ID, Removed: e.Removed}
	if !e.Removed {
		d := a.deviceJSON(e.Device)
		out.Device = &d
	}
	return out
}

func visit(v fleet.Visit) controlapi.Visit {
	return controlapi.Visit{
		ID: v.ID, Site: v.Site, Device: v.Device, DeviceName: v.DeviceName, User: v.User, Who: v.Who, Method: v.Method,
		IdleSeconds: int64(v.Idle / time.Second), Started: v.Started, Expires: v.Expires, Opened: v.Opened, Ended: v.Ended,
		EndCode: v.EndCode, Remote: v.Remote, BytesIn: v.BytesIn, BytesOut: v.BytesOut, Requests: v.Requests,
	}
}

func auditEntry(e fleet.AuditEntry) controlapi.AuditEntry {
	return controlapi.AuditEntry{
		Seq: e.Seq, At: e.At, Account: e.Account, Actor: e.Actor, Remote: e.Remote,
		Action: e.Action, Object: e.Object, Outcome: e.Outcome, Detail: e.Detail,
	}
}

func session(s fleet.Session) controlapi.Session {
	return controlapi.Session{
		Token: s.Token, Expires: s.Expires,
		User:    controlapi.User{ID: s.User.ID, Email: s.User.Email, Name: s.User.Name, Role: string(s.User.Role)},
		Account: controlapi.Account{ID: s.Account.ID, Parent: s.Account.Parent, Name: s.Account.Name},
	}
}

func grant(g fleet.Grant) controlapi.Grant {
	return controlapi.Grant{
		Device: g.Device, Site: g.Site, Name: g.Name, Account: g.Account, Pass: g.Pass,
		LifetimeSeconds: int64(g.Expires.Sub(g.Issued) / time.Second),
		Relays:          append([]string{}, g.Relays...), // an empty list and not null
	}
}

func hotStandby(h *controlapi.HotStandby) fleet.HotStandby {
	if h == nil {
		return fleet.HotStandby{}
	}
	return fleet.HotStandby{Enabled: true, Type: h.Type, Role: h.Role, Peer: h.Peer}
}

func page[F, T any](p fleet.Page[F], item func(F) T) controlapi.Page[T] {
	out := controlapi.Page[T]{Items: make([]T, 0, len(p.Items)), Next: p.Next, Total: p.Total}
	for _, f := range p.Items {
		out.Items = append(out.Items, item(f))
	}
	return out
}
