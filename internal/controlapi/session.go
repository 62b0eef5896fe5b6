package controlapi

import (
	"time"

	"trunkline/internal/id"
)

// SignInRequest opens a session.
type SignInRequest struct {
	Email    string `json:"email" max:"254" format:"email"`
	Password string `json:"password" max:"password" format:"password"`
}

// Session is a signed-in user's session.
type Session struct {
	Token   string    `json:"token" doc:"Secret, shown once: the bearer token of further requests."`
	Expires time.Time `json:"expires"`
	User    User      `json:"user"`
	Account Account   `json:"account"`
}

// Me is who asks.
type Me struct {
	User    User     `json:"user"`
	Account Account  `json:"account"`
	Rights  Access   `json:"rights" doc:"What the role may do."`
	Token   id.Token `json:"token,omitempty" doc:"The API token that asks; absent: a session does."`
	Scopes  []string `json:"scopes,omitempty" doc:"What that token may; absent: everything."`
}

// PasswordChange changes one's own password. All other sessions end.
type PasswordChange struct {
	Old string `json:"old" max:"password" format:"password"`
	New string `json:"new" min:"password" max:"password" format:"password"`
}

// Account is a provider or a reseller.
type Account struct {
	ID     id.Account `json:"id"`
	Parent id.Account `json:"parent,omitempty" doc:"Absent for the installation's owner."`
	Name   string     `json:"name"`
}
