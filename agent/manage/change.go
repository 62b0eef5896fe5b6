package manage

import (
	"slices"
	"strings"
	"time"
)

// Change is what a person changes of the settings; what is nil stays.
type Change struct {
	Connect      *Activation    `json:"connect,omitempty"` // to a provider, or to another one
	On           *bool          `json:"on,omitempty"`      // remote access
	Portal       *string        `json:"portal,omitempty"`  // the PBX's web portal; "": the default
	Passwordless *bool          `json:"passwordless,omitempty"`
	AutoLogout   *int           `json:"auto_logout,omitempty"` // minutes
	Account      *AccountChange `json:"account,omitempty"`
}

// AccountChange sets the dedicated remote account, or, without a user, takes it
// away. A password that is missing stays as it is.
type AccountChange struct {
	User     string `json:"user"`
	Password string `json:"password"` // secret
}

// Names are those that the remote account must not have: a portal that looks a
// name up among all its accounts would let the wrong one in.
type Names struct {
	SuperAdmin string
	Extensions []string // e-mail addresses
}

const (
	maxUser        = 64
	minAccountPass = 8
)

// Apply is s with c, but for Connect, or an Invalid fault that names the field.
func (c Change) Apply(s Settings, n Names, now time.Time) (Settings, error) {
	if c.AutoLogout != nil {
		if *c.AutoLogout < MinAutoLogout || *c.AutoLogout > MaxAutoLogout {
			return s, invalid("auto_logout", "The auto logout time must be %d to %d minutes.", MinAutoLogout, MaxAutoLogout)
		}
		s.AutoLogout = *c.AutoLogout
	}
	if c.Passwordless != nil {
		s.Passwordless = *c.Passwordless
	}
	if c.Account != nil {
		a, err := c.Account.apply(s.Account, n)
		if err != nil {
			return s, err
		}
		if a != s.Account {
			s.Account, s.Doubt = a, nil
		}
	}
	if c.On != nil && *c.On == s.Off {
		s.Off, s.OffSince = !*c.On, time.Time{}
		if s.Off {
			s.OffSince = now.UTC()
		}
	}
	return s, nil
}

func (c AccountChange) apply(old *Account, n Names) (*Account, error) {
	user := strings.TrimSpace(c.User)
	switch {
	case user == "" && c.Password != "":
		return nil, invalid("account_user", "The remote account has a password and no user name.")
	case user == "":
		return nil, nil
	case len(user) > maxUser || !printable(user):
		return nil, invalid("account_user", "The remote account's user name has at most %d characters, and none that cannot be seen.", maxUser)
	case n.SuperAdmin != "" && strings.EqualFold(user, n.SuperAdmin):
		return nil, invalid("account_user", "The remote account may not have the super administrator's name.")
	case slices.ContainsFunc(n.Extensions, func(e string) bool { return strings.EqualFold(e, user) }):
		return nil, invalid("account_user", "The remote account may not have the e-mail address of an extension.")
	case c.Password == "" && (old == nil || old.User != user):
		return nil, invalid("account_password", "The remote account's password is missing.")
	case c.Password == "":
		return old, nil
	case len(c.Password) < minAccountPass:
		return nil, invalid("account_password", "The remote account's password needs at least %d characters.", minAccountPass)
	case len(c.Password) > MaxPassword:
		return nil, invalid("account_password", "The remote account's password is longer than %d characters.", MaxPassword)
	}
	return &Account{User: user, Secret: Hash(c.Password)}, nil
}
