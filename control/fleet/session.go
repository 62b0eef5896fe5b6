package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	sessionLife = 12 * time.Hour // absolute
	maxSessions = 32             // of one user; the oldest goes
)

// Init makes the root account and its owner, both called name, unless there
// is a root account already.
func (f *Fleet) Init(ctx context.Context, email, name, password string) (created bool, err error) {
	email, ok := normalEmail(email)
	if !ok {
		return false, fault.New(fault.Invalid, "%q is not an e-mail address.", email).In("email")
	}
	if name, err = plainText("name", name); err != nil {
		return false, err
	}
	if err := checkPassword("password", password); err != nil {
		return false, err
	}
	hash := hashPassword(password)
	now := f.clock()
	err = f.tx(ctx, "init", func(tx Tx) error {
		created = false
		if _, err := tx.Root(); !errors.Is(err, ErrNoRow) {
			return err
		}
		a := Account{ID: id.NewAccount(), Name: rootName, Created: now}
		if err := tx.AddAccount(a); err != nil {
			return err
		}
		u := User{ID: id.NewUser(), Account: a.ID, Email: email, Name: name, Role: RoleOwner, Hash: hash, Created: now}
		if err := tx.AddUser(u); err != nil {
			return err
		}
		created = true
		return tx.AddAudit(AuditEntry{At: now, Account: a.ID, Action: ActionInit, Object: "account " + rootName, Outcome: outcomeOK, Detail: "owner " + email})
	})
	return created && err == nil, err
}

// rootName is the installation's own account until somebody names it.
const rootName = "Main account"

func checkPassword(field, p string) error {
	if n := utf8.RuneCountInString(p); n < MinPassword || n > MaxPassword {
		return fault.New(fault.Invalid, "A password must have %d to %d characters.", MinPassword, MaxPassword).In(field)
	}
	return nil
}

// SignIn checks the password and begins a session.
func (f *Fleet) SignIn(ctx context.Context, email, password string, remote netip.Addr) (Session, error) {
	e := AuditEntry{At: f.clock(), Remote: remoteText(remote), Action: ActionSignIn}
	wrong := fault.New(fault.WrongLogin, "The e-mail address or the password is wrong.")
	u, err := f.credentials(ctx, &e, email, password, remote, wrong)
	if err != nil {
		return Session{}, err
	}
	s := newSession(e.At)
	err = f.decide(ctx, e, func(tx Tx, e *AuditEntry) error {
		// The password was checked outside: it, or the user, may be gone.
		u, err := sameUser(tx, u, wrong)
		if err != nil {
			return err
		}
		return s.begin(tx, u, e.At)
	})
	if err != nil {
		return Session{}, err
	}
	return s, nil
}

func newSession(now time.Time) Session {
	secret, _ := newSecret()
	return Session{Token: secret, Expires: now.Add(sessionLife)}
}

// begin writes the session, and u as one who was seen now.
func (s *Session) begin(tx Tx, u User, now time.Time) error {
	u.LastSeen = now
	if err := tx.UpdateUser(u); err != nil {
		return err
	}
	a, err := tx.Account(u.Account)
	if err != nil {
		return err
	}
	s.User, s.Account = u.shown(), a
	return tx.AddSession(sessionHash(s.Token), u.ID, now, s.Expires, maxSessions)
}

// sameUser reads u again and errs with wrong if it is not as it was.
func sameUser(tx Tx, u User, wrong *fault.Error) (User, error) {
	now, err := tx.User(u.ID)
	if errors.Is(err, ErrNoRow) || err == nil && (now.Hash != u.Hash || now.Disabled) {
		return User{}, wrong
	}
	return now, err
}

// Authenticate gives whose session, or API token, the token is. It errs with
// sign_in_needed.
// The principal's Remote is the caller's to fill in.
func (f *Fleet) Authenticate(ctx context.Context, token string) (Principal, error) {
	needed := fault.New(fault.SignInNeeded, "Sign in first: there is no session, or it has ended.")
	if len(token) == len(TokenPrefix)+secretLen && strings.HasPrefix(token, TokenPrefix) {
		return f.byToken(ctx, token)
	}
	if len(token) != secretLen {
		return Principal{}, needed
	}
	hash := sessionHash(token)
	var u User
	var may Access
	err := f.read(ctx, "check session", func(tx Tx) (err error) {
		if u, err = tx.SessionUser(hash, f.clock()); err != nil {
			return err
		}
		may, err = accessOf(tx, u)
		return err
	})
	if errors.Is(err, ErrNoRow) || err == nil && u.Disabled {
		return Principal{}, needed
	}
	if err != nil {
		return Principal{}, f.failed("authenticate", err)
	}
	return Principal{User: u.ID, Account: u.Account, Email: u.Email, Name: u.Name, Role: u.Role, Access: may, Session: hash}, nil
}

// SignOut ends the session. Visits that were started from it go on: they are
// ended by EndVisit, by idleness and by their own time.
func (f *Fleet) SignOut(ctx context.Context, p Principal) error {
	if err := p.check(); err != nil {
		return err
	}
	if err := p.notByToken(); err != nil {
		return err
	}
	return f.decide(ctx, p.entry(f.clock(), ActionSignOut, ""), func(tx Tx, _ *AuditEntry) error {
		return tx.DropSession(p.Session)
	})
}

// check refuses nobody.
func (p Principal) check() error {
	if p.User == "" || p.Account == "" {
		return fault.New(fault.SignInNeeded, "Sign in first.")
	}
	return nil
}

// sessionHash is where a token is stored. A fast hash does: the token has 256
// random bits.
func sessionHash(token string) string {
	s := sha256.Sum256([]byte(token))
	return hex.EncodeToString(s[:])
}
