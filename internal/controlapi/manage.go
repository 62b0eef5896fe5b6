package controlapi

import (
	"encoding"
	"errors"
	"strings"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// NewDevice is a device to be added. Its code binds it to its PBX.
type NewDevice struct {
	Name            string      `json:"name" max:"100"`
	Group           GroupChoice `json:"group,omitempty" doc:"none if absent."`
	Comment         string      `json:"comment,omitempty" max:"500"`
	Passwordless    bool        `json:"passwordless,omitempty" doc:"Allow passwordless visits."`
	Region          string      `json:"region,omitempty" max:"63" example:"eu" doc:"Where its tunnels should be; absent: where the account's should."`
	SecondTunnel    string      `json:"second_tunnel,omitempty" enum:"account,on,off" doc:"account if absent."`
	CodeLifeSeconds int         `json:"code_life_seconds,omitempty" min:"3600" max:"2592000" doc:"How long the code is good for; a day if absent."`
}

// CodeRequest asks for another code.
type CodeRequest struct {
	LifeSeconds int `json:"life_seconds,omitempty" min:"3600" max:"2592000" doc:"How long the code is good for; a day if absent."`
}

// DeviceCode is a device with its new authentication code.
type DeviceCode struct {
	Device  Device    `json:"device"`
	Code    string    `json:"code" doc:"Secret, shown once: what is typed on the PBX as Authentication Code."`
	Expires time.Time `json:"expires"`
}

// DeviceEdit changes what is not absent.
type DeviceEdit struct {
	Name         *string      `json:"name,omitempty" max:"100"`
	Group        *GroupChoice `json:"group,omitempty" doc:"none takes it out of its group."`
	Comment      *string      `json:"comment,omitempty" max:"500"`
	Passwordless *bool        `json:"passwordless,omitempty"`
	Region       *string      `json:"region,omitempty" max:"63" example:"eu" doc:"Where its tunnels should be; empty: where the account's should."`
	SecondTunnel *string      `json:"second_tunnel,omitempty" enum:"account,on,off"`
}

// Removals asks for devices to be removed, each for itself.
type Removals struct {
	Devices []id.Device `json:"devices" max:"200"`
}

// Removal is what became of one of them.
type Removal struct {
	Device id.Device  `json:"device"`
	Code   fault.Code `json:"code,omitempty" doc:"Why it was not removed; absent: it was."`
	Detail string     `json:"detail,omitempty" doc:"The same for a person."`
}

// StatusChange is an entry of a device's timeline.
type StatusChange struct {
	At         time.Time  `json:"at"`
	Kind       string     `json:"kind" doc:"A device's status, or what else happened: activated, roles_swapped, ..."`
	Reason     fault.Code `json:"reason,omitempty"`
	ReasonText string     `json:"reason_text,omitempty" doc:"The same for a person."`
	Detail     string     `json:"detail,omitempty"`
}

// Group of devices.
type Group struct {
	ID      id.Group  `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Devices int       `json:"devices" doc:"How many are in it, counted up to 1000."`
}

// GroupName names a group.
type GroupName struct {
	Name string `json:"name" max:"100"`
}

// GroupChoice is a group, or NoGroup.
type GroupChoice string

// NoGroup is where devices are that are in no group.
const NoGroup GroupChoice = "none"

var _ encoding.TextUnmarshaler = (*GroupChoice)(nil)

func (g *GroupChoice) UnmarshalText(b []byte) error {
	if string(b) != string(NoGroup) {
		var named id.Group
		if err := named.UnmarshalText(b); err != nil {
			return errors.New("need none or grp_ and 16 characters")
		}
	}
	*g = GroupChoice(b)
	return nil
}

// DeviceIDs are up to 200 devices, parted by commas.
type DeviceIDs []id.Device

const maxDeviceIDs = 200

func (d *DeviceIDs) UnmarshalText(b []byte) error {
	parts := strings.Split(string(b), ",")
	if len(parts) > maxDeviceIDs {
		return errors.New("at most 200 devices")
	}
	*d = make(DeviceIDs, len(parts))
	for i, p := range parts {
		if err := (*d)[i].UnmarshalText([]byte(p)); err != nil {
			return err
		}
	}
	return nil
}

func (d DeviceIDs) String() string {
	parts := make([]string, len(d))
	for i, v := range d {
		parts[i] = string(v)
	}
	return strings.Join(parts, ",")
}
