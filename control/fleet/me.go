package fleet

import (
	"context"

	"trunkline/internal/fault"
)

// Me is who asks, and the account.
func (f *Fleet) Me(ctx context.Context, p Principal) (User, Account, error) {
	if err := p.check(); err != nil {
		return User{}, Account{}, err
	}
	var u User
	var a Account
	err := f.view(ctx, "read me", func(tx Tx) (err error) {
		if u, err = tx.User(p.User); err != nil {
			return err
		}
		a, err = tx.Account(u.Account)
		return err
	})
	return u.shown(), a, err
}

// ChangePassword needs the present one, and ends the person's other sessions.
func (f *Fleet) ChangePassword(ctx context.Context, p Principal, old, next string) error {
	if err := p.check(); err != nil {
		return err
	}
	if err := p.notByToken(); err != nil {
		return err
	}
	if err := checkPassword("new", next); err != nil {
		return err
	}
	e := p.entry(f.clock(), ActionPasswordChange, "")
	wrong := fault.New(fault.WrongLogin, "The present password is wrong.").In("old")
	u, err := f.credentials(ctx, &e, p.Email, old, p.Remote, wrong)
	if err != nil {
		return err
	}
	hash, err := f.hasher.hash(ctx, next)
	if err != nil {
		return f.failed("hash password", err)
	}
	return f.decide(ctx, e, func(tx Tx, e *AuditEntry) error {
		u, err := sameUser(tx, u, wrong)
		if err != nil {
			return err
		}
		e.Object = describeUser(u)
		u.Hash = hash
		if err := tx.UpdateUser(u); err != nil {
			return err
		}
		return tx.DropSessionsOf(u.ID, p.Session)
	})
}
