package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// EndVisitsOf ends all visits of a person at once, everywhere, and says how
// many there were. One may end one's own; owners and admins those of others.
func (f *Fleet) EndVisitsOf(ctx context.Context, p Principal, user id.User) (int, error) {
	if err := p.check(); err != nil {
		return 0, err
	}
	var revoked revocations
	var n int
	err := f.decide(ctx, p.entry(f.clock(), ActionVisitEnd, "visits of user "+string(user)), func(tx Tx, e *AuditEntry) error {
		revoked = make(revocations)
		u, err := tx.User(user)
		if noRow(err) || err == nil && u.Account != p.Account {
			return fault.New(fault.NotFound, "There is no such person in your account.")
		}
		if err != nil {
			return err
		}
		e.Object = "visits of " + u.Email
		if user != p.User && !p.Role.mayEndOthers() {
			return fault.New(fault.Forbidden, "Your role may not end other people's visits.")
		}
		if n, err = endAll(tx, u, *e, revoked); err != nil {
			return err
		}
		e.Detail = fmt.Sprintf("%d ended", n)
		return nil
	})
	if err != nil {
		return 0, err
	}
	f.settle(ctx, revoked)
	return n, nil
}

// VisitsOn says how many visits EndVisitsOf would end of each of these people, of
// whom p may end them.
func (f *Fleet) VisitsOn(ctx context.Context, p Principal, users []id.User) (map[id.User]int, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(users) > maxPage {
		return nil, fault.New(fault.Invalid, "At most %d people can be asked for at once.", maxPage).In("users")
	}
	users = slices.DeleteFunc(slices.Clone(users), func(u id.User) bool { return u != p.User && !p.Role.mayEndOthers() })
	var out map[id.User]int
	err := f.view(ctx, "count visits of people", func(tx Tx) (err error) {
		out, err = tx.LiveVisitsBy(p.Account, users)
		return err
	})
	return out, err
}

// endAll ends the person's visits page by page, and says how many were on; each of
// these has an entry like e.
func endAll(tx Tx, u User, e AuditEntry, revoked revocations) (n int, err error) {
	lapsed, err := withLapsed(tx, nil, u.Account, e.At, func(v Visit) bool { return v.User == u.ID })
	if err != nil {
		return 0, err
	}
	for q := (VisitQuery{Live: true, User: u.ID, Limit: maxPage}); ; {
		page, err := tx.Visits(u.Account, q)
		if err != nil {
			return 0, err
		}
		ended, err := endVisits(tx, append(page.Items, lapsed...), e, fault.EndedByStaff)
		if err != nil {
			return 0, err
		}
		maps.Copy(revoked, ended)
		n, lapsed = n+len(page.Items), nil
		if q.Cursor = page.Next; q.Cursor == "" {
			return n, nil
		}
	}
}
