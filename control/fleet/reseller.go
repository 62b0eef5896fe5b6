package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"trunkline/control/license"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	maxDepth       = 5                      // of the tree: the root, and four below
	maxResellers   = 5000                   // right below one account
	MaxConnections = license.MaxConnections // of one account: no licence gives more
)

// Resellers lists the accounts right below one's own, by name. What they make
// below themselves is theirs.
func (f *Fleet) Resellers(ctx context.Context, p Principal, q ListQuery) (Page[Reseller], error) {
	if err := p.check(); err != nil {
		return Page[Reseller]{}, err
	}
	if err := p.mayReadPeople(); err != nil {
		return Page[Reseller]{}, err
	}
	if err := q.check(); err != nil {
		return Page[Reseller]{}, err
	}
	var page Page[Reseller]
	err := f.view(ctx, "list resellers", func(tx Tx) (err error) {
		page, err = tx.Resellers(p.Account, q)
		return err
	})
	for i := range page.Items {
		page.Items[i].Owner = page.Items[i].Owner.shown()
	}
	return page, err
}

// Reseller gives an account right below one's own.
func (f *Fleet) Reseller(ctx context.Context, p Principal, a id.Account) (Reseller, error) {
	if err := p.check(); err != nil {
		return Reseller{}, err
	}
	if err := p.mayReadPeople(); err != nil {
		return Reseller{}, err
	}
	var r Reseller
	err := f.view(ctx, "read reseller", func(tx Tx) (err error) {
		r, err = ownReseller(tx, p, a)
		return err
	})
	return r.shown(), err
}

func ownReseller(tx Tx, p Principal, a id.Account) (Reseller, error) {
	r, err := tx.Reseller(a)
	if noRow(err) || err == nil && r.Parent != p.Account {
		return Reseller{}, fault.New(fault.NotFound, "There is no such reseller of your account.")
	}
	return r, err
}

func (r Reseller) shown() Reseller {
	r.Owner = r.Owner.shown()
	return r
}

// AddReseller makes an account below one's own, gives it connections and
// invites its first owner.
func (f *Fleet) AddReseller(ctx context.Context, p Principal, n NewReseller) (Reseller, Invitation, error) {
	if err := p.check(); err != nil {
		return Reseller{}, Invitation{}, err
	}
	now := f.clock()
	a := Account{ID: id.NewAccount(), Parent: p.Account, Allotted: n.Connections, Created: now}
	u := User{ID: id.NewUser(), Account: a.ID, Role: RoleOwner, Created: now}
	if err := n.check(&a, &u); err != nil {
		return Reseller{}, Invitation{}, err
	}
	secret := u.invite(now)
	var r Reseller
	err := f.decide(ctx, p.entry(now, ActionResellerAdd, "reseller "+a.Name), func(tx Tx, e *AuditEntry) error {
		if err := f.mayAdd(tx, p, n, now); err != nil {
			return err
		}
		if _, err := tx.UserByEmail(u.Email); !noRow(err) {
			if err == nil {
				err = errEmailTaken()
			}
			return err
		}
		e.Detail = fmt.Sprintf("%s, owner %s", count(a.Allotted, "connection", "connections"), u.Email)
		if err := errors.Join(tx.AddAccount(a), tx.AddUser(u), tx.AddAudit(fromAbove(*e, a.ID))); err != nil {
			return err
		}
		var err error
		r, err = tx.Reseller(a.ID)
		return err
	})
	if err != nil {
		return Reseller{}, Invitation{}, err
	}
	return r.shown(), Invitation{User: u.shown(), Token: secret, Expires: u.Invited}, nil
}

// check fills in what the person typed.
func (n NewReseller) check(a *Account, u *User) (err error) {
	if a.Name, err = plainText("name", n.Name); err != nil {
		return err
	}
	if err := checkConnections(n.Connections); err != nil {
		return err
	}
	if u.Email, err = newEmail(n.Email); err != nil {
		return err
	}
	u.Name, err = plainText("person", n.Person)
	return err
}

func checkConnections(n int) error {
	if n < 0 || n > MaxConnections {
		return fault.New(fault.Invalid, "The connections are a number from 0 to %d.", MaxConnections).In("connections")
	}
	return nil
}

func (f *Fleet) mayAdd(tx Tx, p Principal, n NewReseller, now time.Time) error {
	p, err := leader(tx, p)
	if err != nil {
		return err
	}
	parent, err := tx.Account(p.Account)
	if err != nil {
		return err
	}
	if strings.Count(parent.Path, "/") >= maxDepth {
		return fault.New(fault.Forbidden, "An account this far down cannot have resellers of its own.")
	}
	have, err := tx.CountChildren(parent.ID)
	if err != nil {
		return err
	}
	if have >= maxResellers {
		return fault.New(fault.LimitReached, "There are %d resellers already, and there can be no more.", maxResellers)
	}
	return f.mayAllot(tx, parent, n.Connections, now)
}

// mayAllot decides whether parent has more connections to give.
func (f *Fleet) mayAllot(tx Tx, parent Account, more int, now time.Time) error {
	if more <= 0 {
		return nil
	}
	l, err := f.license(tx, now)
	if err != nil {
		return err
	}
	c, err := capacityOf(tx, parent, l)
	if err != nil {
		return err
	}
	if free := max(c.free(), 0); more > free {
		return fault.New(fault.NoConnections, "Your account has %s free, which is %d too few.", count(free, "connection", "connections"), more-free).In("connections")
	}
	return nil
}

// EditReseller renames it, and gives or takes back connections.
func (f *Fleet) EditReseller(ctx context.Context, p Principal, a id.Account, x ResellerEdit) (Reseller, error) {
	if err := p.check(); err != nil {
		return Reseller{}, err
	}
	var name string
	var err error
	if x.Name != nil {
		if name, err = plainText("name", *x.Name); err != nil {
			return Reseller{}, err
		}
	}
	if x.Connections != nil {
		if err := checkConnections(*x.Connections); err != nil {
			return Reseller{}, err
		}
	}
	now := f.clock()
	var r Reseller
	err = f.decide(ctx, p.entry(now, ActionResellerEdit, "reseller "+string(a)), func(tx Tx, e *AuditEntry) error {
		p, err := overReseller(tx, p, a, &r, e)
		if err != nil {
			return err
		}
		if err := matches(x.Match, r.Tag()); err != nil {
			return err
		}
		var said []string
		if x.Name != nil && name != r.Name {
			said = append(said, "name is "+name)
			r.Name = name
		}
		if x.Connections != nil && *x.Connections != r.Allotted {
			if err := f.mayChange(tx, p, r, *x.Connections, now); err != nil {
				return err
			}
			said = append(said, fmt.Sprintf("connections were %d, are %d", r.Allotted, *x.Connections))
			r.Allotted = *x.Connections
		}
		e.Detail = strings.Join(said, "; ")
		if err := tx.UpdateAccount(r.Account); err != nil {
			return err
		}
		return tx.AddAudit(fromAbove(*e, r.ID))
	})
	if err != nil {
		return Reseller{}, err
	}
	f.freed()
	return r.shown(), nil
}

// overReseller finds a reseller about whom p, who is read anew, may decide.
func overReseller(tx Tx, p Principal, a id.Account, r *Reseller, e *AuditEntry) (Principal, error) {
	var err error
	if *r, err = ownReseller(tx, p, a); err != nil {
		return p, err
	}
	e.Object = "reseller " + r.Name
	return leader(tx, p)
}

func (f *Fleet) mayChange(tx Tx, p Principal, r Reseller, connections int, now time.Time) error {
	if least := r.Used + r.Below; connections < least && connections < r.Allotted {
		return fault.New(fault.Invalid, "This reseller uses %d connections and has given on %d: it must keep %d.", r.Used, r.Below, least).In("connections")
	}
	parent, err := tx.Account(p.Account)
	if err != nil {
		return err
	}
	return f.mayAllot(tx, parent, connections-r.Allotted, now)
}

// fromAbove is e for the log of the account below that it is about.
func fromAbove(e AuditEntry, below id.Account) AuditEntry {
	e.Account, e.Outcome = below, outcomeOK
	e.Detail = strings.TrimPrefix(e.Detail+"; by the account above", "; ")
	return e
}
