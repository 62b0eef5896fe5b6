package fleet

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/netip"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	invitationLife = 48 * time.Hour
	secretLen      = 43 // characters of 32 random bytes in base64url
)

// newSecret makes what lets somebody in, and the hash under which it is kept.
func newSecret() (secret, hash string) {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	secret = base64.RawURLEncoding.EncodeToString(b)
	return secret, sessionHash(secret)
}

// invite gives u a new link, by which alone the person gets in from now on.
func (u *User) invite(now time.Time) (secret string) {
	secret, hash := newSecret()
	u.Hash, u.Invite, u.Invited = "", hash, now.Add(invitationLife)
	return secret
}

func errEmailTaken() error {
	return fault.New(fault.Taken, "This e-mail address has a user in this installation already. Use another one.").In("email")
}

// InviteUser makes a person, who gets in by the link and then chooses a password.
func (f *Fleet) InviteUser(ctx context.Context, p Principal, n NewUser) (Invitation, error) {
	if err := p.check(); err != nil {
		return Invitation{}, err
	}
	now := f.clock()
	u := User{ID: id.NewUser(), Account: p.Account, Role: n.Role, Created: now}
	var err error
	if u.Email, err = newEmail(n.Email); err != nil {
		return Invitation{}, err
	}
	if u.Name, err = plainText("name", n.Name); err != nil {
		return Invitation{}, err
	}
	if err := checkRole(n.Role); err != nil {
		return Invitation{}, err
	}
	secret := u.invite(now)
	err = f.decide(ctx, p.entry(now, ActionUserInvite, describeUser(u)), func(tx Tx, e *AuditEntry) error {
		p, err := leader(tx, p)
		if err != nil {
			return err
		}
		if err := p.mayGive(tx, u.Role); err != nil {
			return err
		}
		have, err := tx.CountUsers(p.Account)
		if err != nil {
			return err
		}
		if have >= maxUsers {
			return fault.New(fault.LimitReached, "There are %d people in this account already, and there can be no more.", maxUsers)
		}
		e.Detail = "as " + string(u.Role)
		if err = tx.AddUser(u); errors.Is(err, ErrTaken) {
			return errEmailTaken()
		}
		return err
	})
	if err != nil {
		return Invitation{}, err
	}
	return Invitation{User: u.shown(), Token: secret, Expires: u.Invited}, nil
}

// ReinviteUser makes a new link; the old one and the password are void then,
// and the person is out at once. It is also for the first owner of an account
// right below.
func (f *Fleet) ReinviteUser(ctx context.Context, p Principal, user id.User) (Invitation, error) {
	if err := p.check(); err != nil {
		return Invitation{}, err
	}
	now := f.clock()
	var u User
	var secret string
	var ended revocations
	err := f.decide(ctx, p.entry(now, ActionUserReinvite, "user "+string(user)), func(tx Tx, e *AuditEntry) (err error) {
		if u, err = invitable(tx, p, user, e); err != nil {
			return err
		}
		if u.Account != p.Account {
			if err := tx.AddAudit(fromAbove(*e, u.Account)); err != nil {
				return err
			}
		}
		if ended, err = void(tx, u, *e); err != nil {
			return err
		}
		secret = u.invite(now)
		return tx.UpdateUser(u)
	})
	if err != nil {
		return Invitation{}, err
	}
	f.settle(ctx, ended)
	f.watchers.dismiss(func(w *watcher) bool { return w.user == user })
	return Invitation{User: u.shown(), Token: secret, Expires: u.Invited}, nil
}

// invitable is somebody whom p may invite again.
func invitable(tx Tx, p Principal, user id.User, e *AuditEntry) (User, error) {
	u, err := resellersOwner(tx, p, user)
	switch {
	case err == nil:
		e.Object = describeUser(u)
		if p, err = leader(tx, p); err == nil && !p.Access.covers(Access{}, Access{Default: AllRights}) {
			err = fault.New(fault.Forbidden, "The link lets in an owner, who may do more than your role. Ask an owner.")
		}
	case noRow(err):
		// Who has the link can be the person.
		if p, u, err = subordinate(tx, p, user, e); err == nil && u.ID != p.User {
			err = p.mayGive(tx, u.Role)
		}
	}
	switch {
	case err != nil:
		return User{}, err
	case u.ID == p.User:
		return User{}, fault.New(fault.Forbidden, "You cannot invite yourself. Change your password instead.")
	case u.Disabled:
		return User{}, fault.New(fault.Forbidden, "This person is disabled. Enable the person first.")
	}
	return u, nil
}

// resellersOwner finds the one person of an account right below whom p's
// account looks after, or errs with ErrNoRow.
func resellersOwner(tx Tx, p Principal, user id.User) (User, error) {
	u, err := tx.User(user)
	if err != nil {
		return User{}, err
	}
	r, err := tx.Reseller(u.Account)
	if err != nil {
		return User{}, err
	}
	if r.Parent != p.Account || r.Owner.ID != u.ID {
		return User{}, ErrNoRow
	}
	return u, nil
}

// InvitationOf says whom an invitation is for; fault.InvitationInvalid if it
// is unknown, used or expired.
func (f *Fleet) InvitationOf(ctx context.Context, token string, _ netip.Addr) (User, Account, error) {
	var u User
	var a Account
	err := f.view(ctx, "read invitation", func(tx Tx) (err error) {
		if u, err = invited(tx, token, f.clock()); err != nil {
			return err
		}
		a, err = tx.Account(u.Account)
		return err
	})
	if err != nil {
		return User{}, Account{}, err
	}
	return u.shown(), a, nil
}

// invited is who may choose a password with the token now.
func invited(tx Tx, token string, now time.Time) (User, error) {
	invalid := fault.New(fault.InvitationInvalid, "This link is unknown, was used, or has expired. Ask whoever sent it for another one.")
	if len(token) != secretLen {
		return User{}, invalid
	}
	u, err := tx.UserByInvite(sessionHash(token))
	if noRow(err) || err == nil && (u.Disabled || !now.Before(u.Invited)) {
		return User{}, invalid
	}
	return u, err
}

// AcceptInvitation sets the person's password and signs in. The session is a
// new one, and the only one.
func (f *Fleet) AcceptInvitation(ctx context.Context, token, password string, remote netip.Addr) (Session, error) {
	if err := checkPassword("password", password); err != nil {
		return Session{}, err
	}
	e := AuditEntry{At: f.clock(), Remote: remoteText(remote), Action: ActionInvitationAccept}
	// Strangers take neither a password's hashing nor the one writer's time.
	err := f.view(ctx, "read invitation", func(tx Tx) error {
		_, err := invited(tx, token, e.At)
		return err
	})
	if err != nil {
		return Session{}, f.refuseStranger(ctx, e, remote, err)
	}
	hash, err := f.hasher.hash(ctx, password)
	if err != nil {
		return Session{}, f.failed("hash password", err)
	}
	s := newSession(e.At)
	err = f.decide(ctx, e, func(tx Tx, e *AuditEntry) error {
		u, err := invited(tx, token, e.At)
		if err != nil {
			return err
		}
		e.Account, e.Actor, e.Object = u.Account, u.Email, describeUser(u)
		u.Hash, u.Invite, u.Invited = hash, "", time.Time{}
		if err := tx.DropSessionsOf(u.ID, ""); err != nil {
			return err
		}
		return s.begin(tx, u, e.At)
	})
	if err != nil {
		return Session{}, err
	}
	return s, nil
}
