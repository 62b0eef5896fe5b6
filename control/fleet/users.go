package fleet

import (
	"context"
	"fmt"
	"strings"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const maxUsers = 5000 // of one account

// Users lists the account's people by name. A secret's hash is in none.
func (f *Fleet) Users(ctx context.Context, p Principal, q ListQuery) (Page[User], error) {
	if err := p.check(); err != nil {
		return Page[User]{}, err
	}
	if err := p.mayReadPeople(); err != nil {
		return Page[User]{}, err
	}
	if err := q.check(); err != nil {
		return Page[User]{}, err
	}
	var page Page[User]
	err := f.view(ctx, "list users", func(tx Tx) (err error) {
		page, err = tx.Users(p.Account, q)
		return err
	})
	for i := range page.Items {
		page.Items[i] = page.Items[i].shown()
	}
	return page, err
}

// User gives one of the account's people; oneself to everybody.
func (f *Fleet) User(ctx context.Context, p Principal, user id.User) (User, error) {
	if err := p.check(); err != nil {
		return User{}, err
	}
	if err := p.mayReadPeople(); err != nil && user != p.User {
		return User{}, err
	}
	var u User
	err := f.view(ctx, "read user", func(tx Tx) (err error) {
		u, err = ownUser(tx, p, user)
		return err
	})
	return u.shown(), err
}

// EditUser changes a person. Who is disabled is out at once, and so is who is
// in a PBX that the new role may not visit.
func (f *Fleet) EditUser(ctx context.Context, p Principal, user id.User, x UserEdit) (User, error) {
	if err := p.check(); err != nil {
		return User{}, err
	}
	if err := x.normalise(); err != nil {
		return User{}, err
	}
	now := f.clock()
	var next User
	var ended revocations
	err := f.decide(ctx, p.entry(now, ActionUserEdit, "user "+string(user)), func(tx Tx, e *AuditEntry) error {
		p, u, err := subordinate(tx, p, user, e)
		if err != nil {
			return err
		}
		if err := matches(x.Match, u.Tag()); err != nil {
			return err
		}
		next = x.applied(u, e)
		if next.Role != u.Role {
			if err := p.mayGive(tx, next.Role); err != nil {
				return err
			}
		}
		if err := leavesOwner(tx, u, next); err != nil {
			return err
		}
		if err := tx.UpdateUser(next); err != nil {
			return err
		}
		ended, err = ceasing(tx, u, next, *e)
		return err
	})
	if err != nil {
		return User{}, err
	}
	f.settle(ctx, ended)
	f.watchers.dismiss(func(w *watcher) bool { return w.user == user })
	return next.shown(), nil
}

// ceasing ends what a changed person may not go on with.
func ceasing(tx Tx, was, is User, e AuditEntry) (revocations, error) {
	switch {
	case is.Disabled && !was.Disabled:
		return void(tx, is, e)
	case is.Role != was.Role:
		vs, err := visitsBy(tx, is, e.At)
		if err != nil {
			return nil, err
		}
		return endUnentitled(tx, vs, e)
	}
	return nil, nil
}

func (x *UserEdit) normalise() error {
	if x.Name != nil {
		name, err := plainText("name", *x.Name)
		if err != nil {
			return err
		}
		x.Name = &name
	}
	if x.Role != nil {
		return checkRole(*x.Role)
	}
	return nil
}

func checkRole(r Role) error {
	if !r.known() {
		return fault.New(fault.Invalid, "The role is %s, %s, %s or %s.", RoleOwner, RoleAdmin, RoleTechnician, RoleAuditor).In("role")
	}
	return nil
}

// applied is u with the changes, which e is told of.
func (x UserEdit) applied(u User, e *AuditEntry) User {
	var said []string
	if x.Name != nil && *x.Name != u.Name {
		said = append(said, "name is "+*x.Name)
		u.Name = *x.Name
	}
	if x.Role != nil && *x.Role != u.Role {
		said = append(said, fmt.Sprintf("%s becomes %s", u.Role, *x.Role))
		u.Role = *x.Role
	}
	if x.Disabled != nil && *x.Disabled != u.Disabled {
		u.Disabled = *x.Disabled
		said = append(said, map[bool]string{true: "disabled", false: "enabled"}[u.Disabled])
	}
	e.Detail = strings.Join(said, "; ")
	return u
}

// RemoveUser removes a person, who is out at once. Visits and the audit keep
// the name. It errs with fault.Changed unless match is "" or the person's Tag.
func (f *Fleet) RemoveUser(ctx context.Context, p Principal, user id.User, match string) error {
	if err := p.check(); err != nil {
		return err
	}
	now := f.clock()
	var ended revocations
	err := f.decide(ctx, p.entry(now, ActionUserRemove, "user "+string(user)), func(tx Tx, e *AuditEntry) error {
		_, u, err := subordinate(tx, p, user, e)
		if err != nil {
			return err
		}
		if err := matches(match, u.Tag()); err != nil {
			return err
		}
		if err := leavesOwner(tx, u, User{}); err != nil {
			return err
		}
		if ended, err = void(tx, u, *e); err != nil {
			return err
		}
		return tx.RemoveUser(u.ID)
	})
	if err != nil {
		return err
	}
	f.settle(ctx, ended)
	f.watchers.dismiss(func(w *watcher) bool { return w.user == user })
	return nil
}

// ownUser hides other accounts' people as if they did not exist.
func ownUser(tx Tx, p Principal, user id.User) (User, error) {
	u, err := tx.User(user)
	if noRow(err) || err == nil && u.Account != p.Account {
		return User{}, fault.New(fault.NotFound, "There is no such person in your account.")
	}
	return u, err
}

// subordinate is a person about whom p, who is read anew, may decide.
func subordinate(tx Tx, p Principal, user id.User, e *AuditEntry) (Principal, User, error) {
	u, err := ownUser(tx, p, user)
	if err != nil {
		return p, User{}, err
	}
	e.Object = describeUser(u)
	if p, err = leader(tx, p); err != nil {
		return p, User{}, err
	}
	if u.Role.above(p.Role) {
		return p, User{}, fault.New(fault.Forbidden, "You may not change a person whose role is above your own. Ask an owner.")
	}
	return p, u, nil
}

// leads reports whether u is an owner who can sign in.
func (u User) leads() bool { return u.Role == RoleOwner && !u.Disabled && u.Hash != "" }

// leavesOwner: an account that has an owner keeps one.
func leavesOwner(tx Tx, was, is User) error {
	if !was.leads() || is.leads() {
		return nil
	}
	n, err := tx.CountOwners(was.Account)
	if err == nil && n <= 1 {
		err = fault.New(fault.LastOwner, "This is the account's last active owner. Make somebody else an owner first.")
	}
	return err
}

// void ends what lets u in: sessions, tokens and visits.
func void(tx Tx, u User, e AuditEntry) (revocations, error) {
	if err := tx.DropSessionsOf(u.ID, ""); err != nil {
		return nil, err
	}
	if err := tx.DropTokensOf(u.ID); err != nil {
		return nil, err
	}
	vs, err := visitsBy(tx, u, e.At)
	if err != nil {
		return nil, err
	}
	return endVisits(tx, vs, e, fault.AccessWithdrawn)
}

// shown is u as it leaves the rules: without secrets' hashes. Whose invitation
// is open, or has expired, has the time of that in Invited.
func (u User) shown() User {
	u.Hash, u.Invite = "", ""
	return u
}

func describeUser(u User) string { return "user " + u.Name + " <" + u.Email + ">" }

func (q *ListQuery) check() error {
	q.Limit, q.Search = pageLimit(q.Limit), strings.TrimSpace(q.Search)
	return searchable("search", q.Search)
}
