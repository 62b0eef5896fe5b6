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
)

// Device is one PBX server.
type Device struct {
	ID         id.Device  `json:"id"`
	Site       id.Site    `json:"site"`
	URL        string     `json:"url" doc:"The site's origin. A visit is needed to open it."`
	Serial     id.Serial  `json:"serial"`
	Name       string     `json:"name"`
	Model      string     `json:"model"`
	Firmware   string     `json:"firmware"`
	Activated  time.Time  `json:"activated"`
	Status     string     `json:"status" enum:"connected,disconnected,never_connected"`
	Reason     fault.Code `json:"reason,omitempty" doc:"Why it is disconnected."`
	ReasonText string     `json:"reason_text,omitempty" doc:"The same for a person."`
	Since      time.Time  `json:"since,omitzero" doc:"Since when the status holds."`
	Relay      id.Relay   `json:"relay,omitempty" doc:"The relay that holds the tunnel."`
	Remote     string     `json:"remote,omitempty" doc:"The agent's address as the relay sees it."`
	Agent      string     `json:"agent,omitempty" doc:"The agent's version."`
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
	Total int    `json:"total" doc:"Of all pages."`
}

// PageQuery asks for a page of a list. The zero value asks for the first.
type PageQuery struct {
	Cursor string `query:"cursor,omitempty" max:"512" doc:"The previous page's next."`
	Limit  int    `query:"limit,omitempty" min:"1" max:"200" doc:"Items in a page; 50 if absent."`
}

// DeviceQuery selects devices.
type DeviceQuery struct {
	Search string `query:"search,omitempty" max:"100" doc:"In name, serial number, site or model, in any case."`
	Status string `query:"status,omitempty" enum:"connected,disconnected,never_connected"`
	PageQuery
}

type DevicePage = Page[Device]

// ReasonText is a sentence for a device's disconnect code. The texts are
// fault's, which relays' error pages share.
func ReasonText(c fault.Code) string { return fault.Reason(c) }
