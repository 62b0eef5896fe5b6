package fleet

import (
	"context"
	"errors"
	"net/netip"
	"time"
	"unicode/utf8"

	"trunkline/internal/fault"
)

// credentials is the one door at which an e-mail and a password are checked;
// signing in and activating share its throttle. wrong is what a refusal says:
// the same for an unknown e-mail as for a wrong password. e gets the account
// and the actor, and refusals are recorded as e.
//
// Wrong passwords for somebody's e-mail do keep that person out for a while:
// the price of bounding guesses that come from many addresses.
func (f *Fleet) credentials(ctx context.Context, e *AuditEntry, email, password string, remote netip.Addr, wrong *fault.Error) (User, error) {
	email, plausible := normalEmail(email)
	if plausible {
		e.Actor = email
	} else {
		email = "" // it is of any length, and may well be a password in the wrong field
	}
	keys := []string{addressKey(remote), "mail " + email}
	wait, first, err := f.tries.begin(ctx, f.now, keys...)
	if err != nil {
		return User{}, f.failed("check password", err)
	}
	if wait > 0 {
		f.metrics.throttled.Inc()
		refusal := fault.New(fault.TooMany, "Too many wrong passwords. Try again in %s.", wait.Round(time.Second)).After(wait)
		if !first {
			// One entry for a time of guessing, not one for each guess.
			f.metrics.decided(e.Action, refusal)
			return User{}, refusal
		}
		return User{}, f.refuse(ctx, *e, refusal)
	}
	u, ok, err := f.matchPassword(ctx, email, password, plausible)
	switch {
	case err != nil:
		f.tries.end(f.now(), true, keys...)
		return User{}, f.failed("check password", err)
	case !ok:
		f.tries.end(f.now(), false, keys...)
		e.Account = u.Account
		return User{}, f.refuse(ctx, *e, wrong)
	}
	f.tries.end(f.now(), true, keys...)
	e.Account = u.Account
	return u, nil
}

// matchPassword gives the user also if the password is wrong, for the audit.
func (f *Fleet) matchPassword(ctx context.Context, email, password string, plausible bool) (User, bool, error) {
	start := time.Now()
	defer func() { f.metrics.hashes.Observe(time.Since(start).Seconds()) }()
	var u User
	if plausible {
		err := f.read(ctx, "check password", func(tx Tx) (err error) {
			u, err = tx.UserByEmail(email)
			return err
		})
		if err != nil && !errors.Is(err, ErrNoRow) {
			return User{}, false, err
		}
	}
	if utf8.RuneCountInString(password) > MaxPassword {
		password = "" // no user has this one, and it takes as long
	}
	stored := u.Hash
	if u.Disabled {
		stored = "" // as for nobody, in the time and in the answer
	}
	ok, err := f.hasher.check(ctx, stored, password)
	return u, ok && u.ID != "", err
}
