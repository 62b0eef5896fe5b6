package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// RoleRights are the account's, for every role but the owner.
func (f *Fleet) RoleRights(ctx context.Context, p Principal) (map[Role]Access, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := p.mayReadPeople(); err != nil {
		return nil, err
	}
	var out map[Role]Access
	err := f.view(ctx, "read rights", func(tx Tx) error {
		out = make(map[Role]Access, len(ranked))
		for _, r := range ranked {
			if r == RoleOwner {
				continue
			}
			a, err := accessOf(tx, User{Account: p.Account, Role: r})
			if err != nil {
				return err
			}
			out[r] = a
		}
		return nil
	})
	return out, err
}

// SetRoleRights replaces a role's rights; match is a Tag of the present ones.
// What they do not allow any more ends at once.
func (f *Fleet) SetRoleRights(ctx context.Context, p Principal, r Role, a Access, match string) (Access, error) {
	if err := p.check(); err != nil {
		return Access{}, err
	}
	a, err := a.normal(r)
	if err != nil {
		return Access{}, err
	}
	now := f.clock()
	var ended revocations
	err = f.decide(ctx, p.entry(now, ActionRightsSet, "rights of "+string(r)), func(tx Tx, e *AuditEntry) error {
		was, err := settable(tx, p, r, a)
		if err != nil {
			return err
		}
		if err := matches(match, was.Tag()); err != nil {
			return err
		}
		e.Detail = fmt.Sprintf("%s; %d groups of their own", a.Default, len(a.Groups))
		rows := map[id.Group]Rights{"": a.Default}
		maps.Copy(rows, a.Groups)
		if err := tx.SetRoleRights(p.Account, r, rows); err != nil {
			return err
		}
		vs, err := accountsVisits(tx, p.Account, e.At)
		if err != nil {
			return err
		}
		ended, err = endUnentitled(tx, vs, *e)
		return err
	})
	if err != nil {
		return Access{}, err
	}
	f.settle(ctx, ended)
	f.watchers.dismiss(func(w *watcher) bool { return w.account == p.Account && w.role == r })
	return a, nil
}

// normal checks what can be said of any account's rights. The right to manage
// people is no group's.
func (a Access) normal(r Role) (Access, error) {
	if err := checkRole(r); err != nil {
		return Access{}, err
	}
	if r == RoleOwner {
		return Access{}, fault.New(fault.Invalid, "An owner may do everything, always.").In("role")
	}
	out := Access{Default: a.Default}
	if err := a.Default.check(r, "default"); err != nil {
		return Access{}, err
	}
	for g, may := range a.Groups {
		if g == "" {
			return Access{}, fault.New(fault.Invalid, "A group needs its id.").In("groups")
		}
		if err := may.check(r, "groups"); err != nil {
			return Access{}, err
		}
		if may.Has(ManagePeople) {
			return Access{}, fault.New(fault.Invalid, "The right to manage people is the role's, for all groups: give it by default, and in no group.").In("groups")
		}
		if out.Groups == nil {
			out.Groups = make(map[id.Group]Rights, len(a.Groups))
		}
		out.Groups[g] = may
	}
	return out, nil
}

func (r Rights) check(role Role, field string) error {
	onDevices := r &^ (See | ManagePeople)
	switch {
	case r&^AllRights != 0:
		return fault.New(fault.Invalid, "There is no such right.").In(field)
	case role == RoleAuditor && r&^See != 0:
		return fault.New(fault.Invalid, "An auditor may see at most.").In(field)
	case onDevices != 0 && !r.Has(See):
		return fault.New(fault.Invalid, "Who may visit or manage devices must see them too.").In(field)
	}
	return nil
}

// settable gives r's present rights if p may replace them by next.
func settable(tx Tx, p Principal, r Role, next Access) (Access, error) {
	p, err := leader(tx, p)
	if err != nil {
		return Access{}, err
	}
	if p.Role != RoleOwner && p.Role != RoleAdmin {
		return Access{}, fault.New(fault.Forbidden, "Only an owner or an admin may say what a role may do.")
	}
	for g := range next.Groups {
		if _, err := ownGroup(tx, p, g); err != nil {
			var missing *fault.Error
			if errors.As(err, &missing) {
				err = missing.In("groups")
			}
			return Access{}, err
		}
	}
	was, err := accessOf(tx, User{Account: p.Account, Role: r})
	if err != nil {
		return Access{}, err
	}
	if !p.Access.covers(was, next) {
		return Access{}, fault.New(fault.Forbidden, "You may not give a right that you lack. Ask an owner.")
	}
	return was, nil
}

// rightWords names the rights, in their order.
var rightWords = [...]string{"see", "visit_account", "visit_passwordless", "manage_devices", "manage_people"}

func (r Rights) String() string {
	out := ""
	for i, w := range rightWords {
		if r&(1<<i) != 0 {
			if out != "" {
				out += " "
			}
			out += w
		}
	}
	if out == "" {
		return "nothing"
	}
	return out
}
