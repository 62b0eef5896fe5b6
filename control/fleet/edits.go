package fleet

import (
	"time"

	"trunkline/internal/id"
)

// Edits change what is not nil. Match is the Tag of the thing as the editor
// saw it; "" edits whatever is there. An edit of something that has changed
// since errs with fault.Changed and changes nothing.

// NewDevice is a device to be added, which an authentication code will bind to
// its PBX.
type NewDevice struct {
	Name         string
	Group        id.Group // "" for none
	Comment      string
	Passwordless bool
	Region       string        // as of Device
	Second       Override      // as of Device
	CodeLife     time.Duration // 0: 24 h; 1 h to 30 days
}

// Code is an authentication code, shown once.
type Code struct {
	Secret  string // as a person types it
	Expires time.Time
}

type DeviceEdit struct {
	Match        string
	Name         *string
	Group        *id.Group
	Comment      *string
	Passwordless *bool
	Region       *string
	Second       *Override
}

// Removal is what became of one device of many to be removed.
type Removal struct {
	Device id.Device
	Err    error // a *fault.Error; nil: it is gone
}

type NewUser struct {
	Email string
	Name  string
	Role  Role
}

type UserEdit struct {
	Match    string
	Name     *string
	Role     *Role
	Disabled *bool
}

// NewReseller is an account to be made below one's own, and its first owner.
type NewReseller struct {
	Name        string
	Connections int
	Email       string // of the owner, who is invited
	Person      string // the owner's name
}

type ResellerEdit struct {
	Match       string
	Name        *string
	Connections *int
}

type NewToken struct {
	Name   string
	Scopes []string
	Life   time.Duration // 1 h to 400 days
}

// ListQuery selects people, resellers by a search in their names (and
// e-mails); ordered by name.
type ListQuery struct {
	Search string
	Cursor string
	Limit  int
}

// Overview is an account's numbers.
type Overview struct {
	Devices      map[Status]int // its own
	OverCapacity int
	Alarms       int // pairs with something wrong
	Visits       int // on now
	Subscription Subscription
	Samples      []Sample  // of the last 24 h, oldest first
	Unknown      time.Time // since when Devices are what was known last; zero: they are known
}

// Sample is an account's numbers at one time.
type Sample struct {
	At        time.Time
	Connected int
	Devices   int
	Visits    int
}
