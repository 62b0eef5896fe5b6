package manage

import (
	"context"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// View is all that is shown. There is no secret in it.
type View struct {
	Status Status `json:"status"`

	Default string     `json:"default_server,omitempty"` // "": the configuration has none
	Fixed   string     `json:"fixed_server,omitempty"`   // the configuration allows this one alone
	Type    ServerType `json:"server_type"`
	Server  string     `json:"server,omitempty"`
	Method  Method     `json:"method"`
	Email   string     `json:"email,omitempty"`
	CA      bool       `json:"ca"` // one was given

	Serial   Fact `json:"serial"`
	Model    Fact `json:"model"`
	Firmware Fact `json:"firmware"`
	Portal   Fact `json:"portal"`

	Account      string    `json:"account,omitempty"`       // the remote account's user name
	AccountTold  bool      `json:"account_told"`            // the PBX is told of it; else its staff make it there
	AccountDoubt string    `json:"account_doubt,omitempty"` // why the PBX may have another one, and what to do
	Passwordless bool      `json:"passwordless"`
	Barred       string    `json:"passwordless_barred,omitempty"` // why the switch does nothing
	AutoLogout   int       `json:"auto_logout"`
	Off          bool      `json:"off"`
	OffSince     time.Time `json:"off_since,omitzero"`

	Now  []Visit `json:"visits_now"`
	Past []Visit `json:"visits_past"` // newest first

	Page string `json:"page,omitempty"` // its URL; "": switched off
}

// Fact is something about the PBX. One from the configuration cannot be typed.
type Fact struct {
	Value      string `json:"value"`
	Configured bool   `json:"configured"`
}

// Visit is somebody's visit to this PBX.
type Visit struct {
	ID     id.Visit   `json:"id"`
	Who    string     `json:"who"`
	Method string     `json:"method"`
	From   time.Time  `json:"from"`
	To     time.Time  `json:"to,omitzero"`    // zero: in now
	Code   fault.Code `json:"code,omitempty"` // why it ended
}

// Desk is where Remote Management is done: at the agent itself, or at one that
// runs in another process. Refusals are *fault.Error.
type Desk interface {
	View(ctx context.Context) (View, error)
	// Change does all of c or, if any of it is refused, nothing: but an account
	// that the PBX has been told of is kept, also if the provider refuses then.
	Change(ctx context.Context, c Change) error
	EndVisit(ctx context.Context, v id.Visit) error
	ResetPage(ctx context.Context) error // forgets the page's password
}
