package pbxsim

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// remoteAccount is the dedicated account for remote access, with the
// Administrator role. There is one at most.
type remoteAccount struct {
	// mu is held while somebody is let in, too: no session begins by an account
	// that has just been replaced.
	mu             sync.Mutex
	user, password string // "": none
}

// is reports whose these are. mu is held.
func (a *remoteAccount) is(name, password string) bool {
	right := same(name, a.user)&same(password, a.password) == 1
	return right && a.user != ""
}

// Refusals of SetRemoteAccount.
var (
	ErrSuperAdmin = errors.New("that is the super administrator's name")
	ErrExtension  = errors.New("that is the e-mail address of an extension")
	ErrInUse      = errors.New("there is an account of that name")
	ErrNoPassword = errors.New("the account needs a password")
)

// SetRemoteAccount makes the dedicated account for remote access another one:
// the one before, or its password before, is good for nothing any more, and its
// sessions end. Without a user there is none.
func (p *Portal) SetRemoteAccount(user, password string) error {
	switch {
	case user == "":
		password = ""
	case p.cfg.SuperAdmin != "" && strings.EqualFold(user, p.cfg.SuperAdmin):
		return ErrSuperAdmin
	case slices.ContainsFunc(p.pbx.list(), func(e extension) bool { return strings.EqualFold(user, e.Email) }):
		return ErrExtension
	case strings.EqualFold(user, p.cfg.Admin):
		return ErrInUse
	case password == "":
		return ErrNoPassword
	}
	p.remote.mu.Lock()
	defer p.remote.mu.Unlock()
	was := p.remote.user
	p.remote.user, p.remote.password = user, password
	if was != "" {
		p.sessions.end(was)
	}
	switch {
	case user == "" && was == "":
	case user == "":
		p.ops.note("Removed the remote account " + was)
	case was == "":
		p.ops.note("Made the remote account " + user)
	default:
		p.ops.note("Changed the remote account " + was + " to " + user)
	}
	return nil
}

// end ends the sessions of an account.
func (s *sessions) end(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, v := range s.m {
		if v.Name == name {
			delete(s.m, t)
		}
	}
}

// note adds what the PBX was made to do from itself, and not by its pages.
func (o *operations) note(what string) {
	o.append(Operation{Time: time.Now(), Who: "this PBX", What: what})
}
