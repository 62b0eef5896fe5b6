package controlapi

import (
	"time"

	"trunkline/internal/id"
)

// SignInRequest opens a session.
type SignInRequest struct {
	Email    string `json:"email" max:"254" format:"email"`
	Password string `json:"password" max:"1024" format:"password"`
}

// Session is a signed-in user's session.
type Session struct {
	Token   string    `json:"token" doc:"Secret, shown once: the bearer token of further requests."`
	Expires time.Time `json:"expires"`
	User    User      `json:"user"`
	Account Account   `json:"account"`
}

// User is a person in one account.
type User struct {
	ID    id.User `json:"id"`
	Email string  `json:"email"`
	Name  string  `json:"name"`
	Role  string  `json:"role" enum:"owner,admin,technician,auditor"`
}

// Account is a provider or a reseller.
type Account struct {
	ID     id.Account `json:"id"`
	Parent id.Account `json:"parent,omitempty" doc:"Absent for the installation's owner."`
	Name   string     `json:"name"`
}

// Subscription is an account's plan.
type Subscription struct {
	Status      string    `json:"status" enum:"Subscribed,Trial,Not Subscribed"`
	Holder      string    `json:"holder,omitempty"`
	Connections int       `json:"connections" doc:"How many sites may be connected; a hot-standby pair is one."`
	Used        int       `json:"used"`
	Expires     time.Time `json:"expires,omitzero" doc:"Absent: never."`
}
