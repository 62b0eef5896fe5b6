package controlapi

import (
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// A device's status.
const (
	StatusConnected    = "connected"
	StatusDisconnected = "disconnected"
	StatusNever        = "never_connected"
	StatusNotActivated = "not_activated"
	StatusUnknown      = "unknown"
)

// Marks of a hot-standby pair's members.
const (
	MarkActive  = "active"
	MarkStandby = "standby"
)

// Device is one PBX server. One that was added and not activated yet has no
// site, URL and serial number.
type Device struct {
	ID           id.Device  `json:"id"`
	Account      id.Account `json:"account"`
	Owner        string     `json:"owner,omitempty" doc:"The account's name, in lists of the accounts below."`
	Site         id.Site    `json:"site,omitempty" doc:"Of a hot-standby pair: the site of both."`
	URL          string     `json:"url,omitempty" doc:"The site's origin. A visit is needed to open it."`
	Serial       id.Serial  `json:"serial,omitempty"`
	Name         string     `json:"name"`
	Group        id.Group   `json:"group,omitempty" doc:"Absent: in no group."`
	Comment      string     `json:"comment,omitempty"`
	Passwordless bool       `json:"passwordless" doc:"Passwordless visits are allowed here; the PBX has a switch of its own."`
	Region       string     `json:"region,omitempty" doc:"Where its tunnels should be; absent: where the account's should."`
	SecondTunnel string     `json:"second_tunnel" enum:"account,on,off" doc:"Whether it keeps a second tunnel; account: as the account has it."`
	Model        string     `json:"model,omitempty"`
	Firmware     string     `json:"firmware,omitempty"`
	Created      time.Time  `json:"created,omitzero"`
	Activated    time.Time  `json:"activated,omitzero" doc:"Absent: not yet."`
	Status       string     `json:"status" enum:"connected,disconnected,never_connected,not_activated,unknown" doc:"unknown: control and the relays do not reach each other; last_status, reason and the rest are what was known last."`
	LastStatus   string     `json:"last_status,omitempty" enum:"connected,disconnected,never_connected" doc:"Only if the status is unknown: what it was."`
	Reason       fault.Code `json:"reason,omitempty" doc:"Why it is disconnected; of a connected one: its tunnel is up, and why its portal does not answer."`
	ReasonText   string     `json:"reason_text,omitempty" doc:"The same for a person."`
	Since        time.Time  `json:"since,omitzero" doc:"Since when the status holds."`
	Relay        id.Relay   `json:"relay,omitempty" doc:"The relay that holds the tunnel."`
	Remote       string     `json:"remote,omitempty" doc:"The agent's address as the relay sees it."`
	Agent        string     `json:"agent,omitempty" doc:"The agent's version."`
	Logins       *Logins    `json:"logins,omitempty" doc:"What the PBX offers visitors; absent: it has not said."`
	Code         *CodeState `json:"code,omitempty" doc:"The newest authentication code; absent: there is none."`
	PairAlarm    string     `json:"pair_alarm,omitempty" enum:"two_active,none_active,same_type" doc:"What is wrong with the pair."`
	Mark         string     `json:"mark,omitempty" enum:"active,standby" doc:"Of a hot-standby pair's member."`
	Peer         id.Device  `json:"peer,omitempty" doc:"The pair's other member."`
	OverCapacity bool       `json:"over_capacity,omitempty" doc:"Its site has no connection: its visits are refused."`
}

// Logins are the ways in that a PBX offers.
type Logins struct {
	Account      bool `json:"account"`
	Passwordless bool `json:"passwordless"`
}

// CodeState is an authentication code without the code.
type CodeState struct {
	Expires time.Time `json:"expires"`
	Used    time.Time `json:"used,omitzero" doc:"Absent: not yet."`
}

// DeviceEvent says that a device changed or went.
type DeviceEvent struct {
	ID      id.Device `json:"id"`
	Removed bool      `json:"removed,omitempty"`
	Device  *Device   `json:"device,omitempty" doc:"The device as it is now; absent when removed."`
}

// Page is part of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; absent on the last one."`
	Total int    `json:"total" doc:"Of all pages, counted up to 1000; in a search that matches much, up to 50."`
	More  bool   `json:"more,omitempty" doc:"There are more than total."`
}

// List is a whole list.
type List[T any] struct {
	Items []T `json:"items"`
}

// PageQuery asks for a page of a list. The zero value asks for the first.
type PageQuery struct {
	Cursor string `query:"cursor,omitempty" max:"1024" example:"-" doc:"The previous page's next."`
	Limit  int    `query:"limit,omitempty" min:"1" max:"200" doc:"Items in a page; 50 if absent."`
}

// DeviceFilter selects devices and orders them.
type DeviceFilter struct {
	Search  string      `query:"search,omitempty" max:"100" doc:"In name, serial number, site, model or comment, in any case."`
	Status  string      `query:"status,omitempty" enum:"connected,disconnected,never_connected,not_activated"`
	Group   GroupChoice `query:"group,omitempty" doc:"A group, or none: the devices without one."`
	Scope   string      `query:"scope,omitempty" enum:"own,sub" example:"sub" doc:"own (default): the account's devices; sub: those of the accounts below."`
	Account id.Account  `query:"account,omitempty" doc:"With scope=sub: of this account only."`
	Sort    string      `query:"sort,omitempty" enum:"name,since,serial" doc:"name if absent."`
	Order   string      `query:"order,omitempty" enum:"asc,desc" doc:"asc if absent."`
}

// DeviceQuery asks for a page of devices.
type DeviceQuery struct {
	DeviceFilter
	PageQuery
}

// DeviceExport asks for a file of devices: those of Select, or else all that
// the filter selects.
type DeviceExport struct {
	Format string    `query:"format" enum:"csv,xlsx"`
	Select DeviceIDs `query:"ids,omitempty" doc:"Up to 200 devices, parted by commas, instead of the filter."`
	DeviceFilter
}

type DevicePage = Page[Device]

// ReasonText is a sentence for a device's disconnect code. The texts are
// fault's, which relays' error pages share.
func ReasonText(c fault.Code) string { return fault.Reason(c) }
