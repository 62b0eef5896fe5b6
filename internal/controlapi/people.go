package controlapi

import (
	"time"

	"trunkline/internal/id"
)

// User is a person in one account.
type User struct {
	ID       id.User   `json:"id"`
	Email    string    `json:"email"`
	Name     string    `json:"name"`
	Role     string    `json:"role" enum:"owner,admin,technician,auditor"`
	Disabled bool      `json:"disabled,omitempty"`
	Invited  time.Time `json:"invited,omitzero" doc:"Until when the invitation is open; absent: none is."`
	LastSeen time.Time `json:"last_seen,omitzero" doc:"The last sign-in; absent: never."`
	Created  time.Time `json:"created,omitzero"`
}

// NewUser is a person to be invited.
type NewUser struct {
	Email string `json:"email" max:"254" format:"email"`
	Name  string `json:"name" max:"100"`
	Role  string `json:"role" enum:"owner,admin,technician,auditor"`
}

// UserEdit changes what is not absent.
type UserEdit struct {
	Name     *string `json:"name,omitempty" max:"100"`
	Role     *string `json:"role,omitempty" enum:"owner,admin,technician,auditor"`
	Disabled *bool   `json:"disabled,omitempty"`
}

// ListQuery selects by a search in names and e-mails.
type ListQuery struct {
	Search string `query:"search,omitempty" max:"100"`
	PageQuery
}

// Invitation lets a person choose a password. It is good once.
type Invitation struct {
	User    User      `json:"user"`
	Token   string    `json:"token" doc:"Secret, shown once: what the person needs."`
	Expires time.Time `json:"expires"`
}

// Invited is whom an invitation is for.
type Invited struct {
	User    User   `json:"user"`
	Account string `json:"account" doc:"The account's name."`
}

// Acceptance is an invited person's password.
type Acceptance struct {
	Password string `json:"password" min:"password" max:"password" format:"password"`
}

// Access is what a role may do with devices, by group.
type Access struct {
	Default []string      `json:"default" enum:"see,visit_account,visit_passwordless,manage_devices,manage_people" max:"5" doc:"On devices in no group and in groups that are not listed."`
	Groups  []GroupAccess `json:"groups,omitempty" max:"500"`
}

// GroupAccess is what a role may do with one group's devices.
type GroupAccess struct {
	Group  id.Group `json:"group"`
	Rights []string `json:"rights" enum:"see,visit_account,visit_passwordless,manage_devices" max:"4" doc:"manage_people is given by default alone: it is the role's, for all groups."`
}

// RoleRights are a role and what it may do.
type RoleRights struct {
	Role   string `json:"role" enum:"admin,technician,auditor"`
	Rights Access `json:"rights"`
}

// Reseller is an account below one's own.
type Reseller struct {
	ID          id.Account `json:"id"`
	Name        string     `json:"name"`
	Connections int        `json:"connections" doc:"Allotted to it."`
	Used        int        `json:"used" doc:"Of those, by its own sites."`
	Below       int        `json:"below" doc:"Of those, given on to its own resellers."`
	Devices     int        `json:"devices" doc:"Its own, counted up to 1000."`
	Owner       User       `json:"owner" doc:"The first of its owners."`
	Created     time.Time  `json:"created"`
}

// NewReseller is an account to be made, and its first owner, who is invited.
type NewReseller struct {
	Name        string `json:"name" max:"100"`
	Connections int    `json:"connections,omitempty" max:"connections" doc:"Taken out of one's own free ones; 0 if absent."`
	Email       string `json:"email" max:"254" format:"email" doc:"The owner's."`
	Person      string `json:"person" max:"100" doc:"The owner's name."`
}

// ResellerInvitation is a new account, and what its owner needs.
type ResellerInvitation struct {
	Reseller   Reseller   `json:"reseller"`
	Invitation Invitation `json:"invitation"`
}

// ResellerEdit changes what is not absent.
type ResellerEdit struct {
	Name        *string `json:"name,omitempty" max:"100"`
	Connections *int    `json:"connections,omitempty" max:"connections" doc:"Never below what it uses and has given on."`
}

// APIToken is a user's, for programs.
type APIToken struct {
	ID       id.Token  `json:"id"`
	User     id.User   `json:"user"`
	Email    string    `json:"email" doc:"The user's."`
	Name     string    `json:"name"`
	Scopes   []string  `json:"scopes"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
	LastUsed time.Time `json:"last_used,omitzero" doc:"To the minute; absent: never."`
}

// NewToken is an API token to be made.
type NewToken struct {
	Name        string   `json:"name" max:"100"`
	Scopes      []string `json:"scopes" max:"9" enum:"devices:read,devices:write,visits:read,visits:write,people:read,people:write,account:read,account:write,audit:read"`
	LifeSeconds int      `json:"life_seconds" min:"3600" max:"34560000" doc:"An hour to 400 days."`
}

// TokenSecret is a new API token with its secret.
type TokenSecret struct {
	Token  APIToken `json:"token"`
	Secret string   `json:"secret" doc:"Shown once: the bearer token of requests."`
}
