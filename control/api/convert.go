package api

import (
	"cmp"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
)

// From fleet's values to the API's.

func (a *api) deviceJSON(d fleet.Device) controlapi.Device {
	p := d.Presence
	out := controlapi.Device{
		ID: d.ID, Account: d.Account, Owner: d.Owner, Site: d.Site, Serial: d.Serial, Name: d.Name, Group: d.Group, Comment: d.Comment,
		Passwordless: d.Passwordless, Model: d.Model, Firmware: d.Firmware, Created: d.Created, Activated: d.Activated,
		Status: string(p.Status), Reason: p.Reason, ReasonText: controlapi.ReasonText(p.Reason),
		Since: p.Since, Relay: p.Relay, Remote: p.Remote, Agent: p.Agent,
		Mark: string(d.Mark), PairAlarm: d.Alarm, Peer: d.Peer, OverCapacity: d.OverCapacity,
		Region: d.Region, SecondTunnel: cmp.Or(string(d.Second), controlapi.AsAccount),
	}
	if !p.Unknown.IsZero() {
		out.Status, out.LastStatus, out.Since = controlapi.StatusUnknown, out.Status, p.Unknown
	}
	if d.Site != "" {
		out.URL = a.siteURL(d.Site)
	}
	if l := p.Logins; l.Account || l.Passwordless {
		out.Logins = &controlapi.Logins{Account: l.Account, Passwordless: l.Passwordless}
	}
	if d.Code.Hash != "" {
		out.Code = &controlapi.CodeState{Expires: d.Code.Expires, Used: d.Code.Used}
	}
	return out
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
		User: user(s.User), Account: accountJSON(s.Account),
	}
}

func grant(g fleet.Grant) controlapi.Grant {
	return controlapi.Grant{
		Device: g.Device, Site: g.Site, Name: g.Name, Account: g.Account, Pass: g.Pass,
		LifetimeSeconds: int64(g.Expires.Sub(g.Issued) / time.Second),
		Relays:          append([]string{}, g.Relays...), // an empty list and not null
		Second:          g.Second,
		Region:          g.Region,
		OverCapacity:    g.OverCapacity,
		LicenceExpired:  g.LicenceExpired, LicenceSeconds: int64(g.LicenceLeft / time.Second),
	}
}

func hotStandby(h *controlapi.HotStandby) fleet.HotStandby {
	if h == nil {
		return fleet.HotStandby{}
	}
	return fleet.HotStandby{Enabled: true, Type: h.Type, Role: h.Role, Peer: h.Peer, Claim: uint64(h.Claim)} // a negative one is out of fleet's range
}

func page[F, T any](p fleet.Page[F], item func(F) T) controlapi.Page[T] {
	out := controlapi.Page[T]{Items: make([]T, 0, len(p.Items)), Next: p.Next, Total: p.Total, More: p.More}
	for _, f := range p.Items {
		out.Items = append(out.Items, item(f))
	}
	return out
}

func list[F, T any](fs []F, item func(F) T) controlapi.List[T] {
	out := controlapi.List[T]{Items: make([]T, 0, len(fs))}
	for _, f := range fs {
		out.Items = append(out.Items, item(f))
	}
	return out
}
