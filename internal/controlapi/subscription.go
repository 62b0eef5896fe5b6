package controlapi

import "time"

// Subscription is an account's plan.
type Subscription struct {
	Status        string    `json:"status" enum:"Subscribed,Trial,Not Subscribed"`
	Holder        string    `json:"holder,omitempty"`
	Plan          string    `json:"plan,omitempty"`
	Connections   int       `json:"connections" doc:"How many sites may be connected; a hot-standby pair is one."`
	Used          int       `json:"used" doc:"By the account's own sites."`
	Allotted      int       `json:"allotted" doc:"To resellers."`
	ResellersUsed int       `json:"resellers_used" doc:"Of those allotted, by resellers and theirs."`
	NotBefore     time.Time `json:"not_before,omitzero"`
	Expires       time.Time `json:"expires,omitzero" doc:"Absent: never."`
	Grace         bool      `json:"grace,omitempty" doc:"It has expired, and everything goes on for now."`
	GraceEnds     time.Time `json:"grace_ends,omitzero"`
	Warning       string    `json:"warning,omitempty" doc:"What is due and what to do."`
	Next          string    `json:"next,omitempty" doc:"What happens next."`
	Features      []string  `json:"features,omitempty"`
	Root          bool      `json:"root" doc:"The licence is this account's to install."`
}

// LicenceUpload is a licence file: the body itself, as text/plain, or as a
// string in JSON.
type LicenceUpload struct {
	File string `body:"file" max:"16384" format:"licence" doc:"The licence file's text."`
}

// Overview is an account's numbers.
type Overview struct {
	Devices      Counts       `json:"devices" doc:"The account's own, by status."`
	UnknownSince time.Time    `json:"unknown_since,omitzero" doc:"Since when control and the relays do not reach each other: the devices are as they were then. Absent: they do."`
	OverCapacity int          `json:"over_capacity"`
	Alarms       int          `json:"alarms" doc:"Hot-standby pairs with something wrong."`
	Visits       int          `json:"visits" doc:"On now."`
	Subscription Subscription `json:"subscription"`
	Samples      []Sample     `json:"samples" doc:"Of the last 24 hours, oldest first."`
}

// Counts are devices by status.
type Counts struct {
	Connected      int `json:"connected"`
	Disconnected   int `json:"disconnected"`
	NeverConnected int `json:"never_connected"`
	NotActivated   int `json:"not_activated"`
}

// Sample is an account's numbers at one time.
type Sample struct {
	At        time.Time `json:"at"`
	Connected int       `json:"connected"`
	Devices   int       `json:"devices"`
	Visits    int       `json:"visits"`
}
