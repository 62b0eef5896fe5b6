package fleet

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// TokenPrefix begins an API token's secret: one that leaked is recognised by it.
const TokenPrefix = "tlk_"

const (
	maxTokens = 50 // of one user

	minTokenLife = time.Hour
	maxTokenLife = 400 * 24 * time.Hour
	// tokenKept is how long an expired one stays listed.
	tokenKept = 30 * 24 * time.Hour
	// tokenUseStep is how exactly the last use is known.
	tokenUseStep = time.Minute
)

// MayScope reports whether p may do what an API token needs scope for. A
// session has all.
func (p Principal) MayScope(scope string) bool {
	return p.Token == "" || slices.Contains(p.Scopes, scope)
}

// AddToken also gives the secret.
func (f *Fleet) AddToken(ctx context.Context, p Principal, n NewToken) (APIToken, string, error) {
	if err := p.check(); err != nil {
		return APIToken{}, "", err
	}
	if err := p.notByToken(); err != nil {
		return APIToken{}, "", err
	}
	now := f.clock()
	t := APIToken{ID: id.NewToken(), Account: p.Account, User: p.User, Email: p.Email, Created: now, Expires: now.Add(n.Life)}
	var err error
	if t.Name, err = plainText("name", n.Name); err != nil {
		return APIToken{}, "", err
	}
	if t.Scopes, err = knownScopes(n.Scopes); err != nil {
		return APIToken{}, "", err
	}
	if n.Life < minTokenLife || n.Life > maxTokenLife {
		return APIToken{}, "", fault.New(fault.Invalid, "A token lives for 1 hour to 400 days.").In("life_seconds")
	}
	secret, _ := newSecret()
	secret = TokenPrefix + secret
	err = f.decide(ctx, p.entry(now, ActionTokenAdd, "API token "+t.Name), func(tx Tx, e *AuditEntry) error {
		if _, err := acting(tx, p); err != nil {
			return err
		}
		have, err := tx.CountTokens(p.User)
		if err != nil {
			return err
		}
		if have >= maxTokens {
			return fault.New(fault.LimitReached, "You have %d tokens, and there can be no more. Revoke those that are not needed.", have)
		}
		e.Detail = string(t.ID) + " until " + t.Expires.Format(time.RFC3339) + " for " + strings.Join(t.Scopes, " ")
		return tx.AddToken(t, sessionHash(secret))
	})
	if err != nil {
		return APIToken{}, "", err
	}
	return t, secret, nil
}

// knownScopes puts them in the order in which they are shown, each once.
func knownScopes(asked []string) ([]string, error) {
	all := Scopes()
	var out []string
	for _, s := range all {
		if slices.Contains(asked, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 || slices.ContainsFunc(asked, func(s string) bool { return !slices.Contains(all, s) }) {
		return nil, fault.New(fault.Invalid, "A token needs at least one scope, of: %s.", strings.Join(all, ", ")).In("scopes")
	}
	return out, nil
}

// Tokens are the asker's own, newest first; owners and admins see those of the
// account.
func (f *Fleet) Tokens(ctx context.Context, p Principal, cursor string, limit int) (Page[APIToken], error) {
	if err := p.check(); err != nil {
		return Page[APIToken]{}, err
	}
	if err := f.writeTokenUses(ctx); err != nil {
		f.complain(ctx, "write the last use of tokens", err)
	}
	whose := p.User
	if p.Role.seesTokens() {
		whose = ""
	}
	var page Page[APIToken]
	err := f.view(ctx, "list tokens", func(tx Tx) (err error) {
		page, err = tx.Tokens(p.Account, whose, cursor, pageLimit(limit))
		return err
	})
	return page, err
}

func (r Role) seesTokens() bool { return r == RoleOwner || r == RoleAdmin }

// RevokeToken voids it. One's own may always be revoked.
func (f *Fleet) RevokeToken(ctx context.Context, p Principal, token id.Token) error {
	if err := p.check(); err != nil {
		return err
	}
	return f.decide(ctx, p.entry(f.clock(), ActionTokenRevoke, "API token "+string(token)), func(tx Tx, e *AuditEntry) error {
		t, err := tx.APIToken(token)
		if noRow(err) || err == nil && (t.Account != p.Account || t.User != p.User && !p.Role.seesTokens()) {
			return fault.New(fault.NotFound, "There is no such token in your account.")
		}
		if err != nil {
			return err
		}
		e.Object, e.Detail = "API token "+t.Name, string(t.ID)+" of "+t.Email
		if t.User != p.User {
			if _, _, err := subordinate(tx, p, t.User, &AuditEntry{}); err != nil {
				return err
			}
		}
		return tx.RemoveToken(t.ID)
	})
}

// byToken says who asks by an API token: its user as the user is now.
func (f *Fleet) byToken(ctx context.Context, secret string) (Principal, error) {
	now := f.clock()
	var t APIToken
	var u User
	var may Access
	err := f.read(ctx, "check API token", func(tx Tx) (err error) {
		if t, u, err = tx.TokenUser(sessionHash(secret), now); err != nil {
			return err
		}
		may, err = accessOf(tx, u)
		return err
	})
	if noRow(err) || err == nil && u.Disabled {
		return Principal{}, fault.New(fault.SignInNeeded, "This API token is unknown, was revoked, or has expired.")
	}
	if err != nil {
		return Principal{}, f.failed("authenticate", err)
	}
	f.tokenUses.note(t, now.Truncate(tokenUseStep))
	return Principal{User: u.ID, Account: u.Account, Email: u.Email, Name: u.Name, Role: u.Role, Access: may, Token: t.ID, Scopes: t.Scopes}, nil
}

// tokenUses are last uses that the database does not have yet, so that asking
// by a token takes no turn of the one writer's.
type tokenUses struct {
	mu   sync.Mutex
	last map[id.Token]time.Time
}

func (u *tokenUses) note(t APIToken, at time.Time) {
	if !at.After(t.LastUsed) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last[t.ID] = at
}

func (u *tokenUses) take() map[id.Token]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.last) == 0 {
		return nil
	}
	out := u.last
	u.last = make(map[id.Token]time.Time)
	return out
}

// writeTokenUses loses what it cannot write: the next use is noted again.
func (f *Fleet) writeTokenUses(ctx context.Context) error {
	last := f.tokenUses.take()
	if last == nil {
		return nil
	}
	return f.tx(ctx, "write the last use of tokens", func(tx Tx) error {
		for t, at := range last {
			if err := tx.UseToken(t, at); err != nil {
				return err
			}
		}
		return nil
	})
}
