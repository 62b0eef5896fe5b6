package fleet

import (
	"context"
	"time"

	"trunkline/control/license"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// capacityTx is what a store knows of connections: who has how many.
type capacityTx interface {
	// SumAllotted is what the accounts right below parent were given.
	SumAllotted(parent id.Account) (int, error)
	// UsedBelow is what all accounts below a use, without a itself.
	UsedBelow(a Account) (int, error)
}

// capacity is an account's connections.
type capacity struct {
	total    int // what it has in all
	used     int // by its own sites
	allotted int // to the accounts right below it
	root     bool
}

// free is what new sites and new allotments can have. It is below zero after
// a smaller licence was installed.
func (c capacity) free() int { return c.total - c.used - c.allotted }

// capacityOf reads an account's connections in tx, so that what is decided by
// them holds when it is committed.
func capacityOf(tx Tx, a Account, l license.License) (capacity, error) {
	allotted, err := tx.SumAllotted(a.ID)
	c := capacity{total: a.Allotted, used: a.Used, allotted: allotted, root: a.Parent == ""}
	if c.root {
		c.total = l.Connections
	}
	return c, err
}

// mayConnect decides whether one more site of the account finds a connection:
// in the account's own share, and in the installation's, which can be less
// than what was shared out before the licence shrank.
func (f *Fleet) mayConnect(tx Tx, a Account, now time.Time) error {
	l, err := f.license(tx, now)
	if err != nil {
		return err
	}
	if err := inForce(l, now); err != nil {
		return err
	}
	c, err := capacityOf(tx, a, l)
	if err != nil {
		return err
	}
	all, err := tx.CountSites()
	if err != nil {
		return err
	}
	switch {
	case c.free() > 0 && all < l.Connections:
		return nil
	case !c.root && c.free() > 0:
		return fault.New(fault.NoConnections, "All connections of this installation are in use. Ask your provider to have the subscription extended.")
	case !c.root:
		return fault.New(fault.NoConnections, "All connections of this account are in use (%d of %d%s). Remove a PBX that is not needed any more, or ask your provider for more.",
			c.used, c.total, c.given())
	}
	return fault.New(fault.NoConnections, "All connections are in use (%d of %d%s). Remove a PBX that is not needed any more, or have the subscription extended.",
		c.used, c.total, c.given())
}

func (c capacity) given() string {
	if c.allotted == 0 {
		return ""
	}
	return ", and " + count(c.allotted, "is given", "are given") + " to resellers"
}

// Subscription is the account's plan, what it has used of it and what is due.
func (f *Fleet) Subscription(ctx context.Context, p Principal) (Subscription, error) {
	if err := p.check(); err != nil {
		return Subscription{}, err
	}
	var s Subscription
	err := f.view(ctx, "subscription", func(tx Tx) (err error) {
		s, err = f.subscription(tx, p.Account, f.clock())
		return err
	})
	return s, err
}

func (f *Fleet) subscription(tx Tx, account id.Account, now time.Time) (Subscription, error) {
	a, err := tx.Account(account)
	if err != nil {
		return Subscription{}, err
	}
	l, err := f.license(tx, now)
	if err != nil {
		return Subscription{}, err
	}
	c, err := capacityOf(tx, a, l)
	if err != nil {
		return Subscription{}, err
	}
	s := Subscription{
		Status: string(l.Status(now)), Holder: l.Holder, Plan: l.Plan, Connections: c.total, Used: c.used, Allotted: c.allotted,
		NotBefore: l.NotBefore, Expires: l.Expires, Grace: l.InGrace(now), Features: l.Features, Root: c.root,
	}
	if !l.Expires.IsZero() {
		s.GraceEnds = l.Expires.Add(license.Grace)
	}
	if !c.root {
		// Whose licence it is is the provider's business.
		s.Holder, s.Features = a.Name, nil
	} else if s.Holder == "" { // a trial has no holder: it is whoever runs it
		s.Holder = a.Name
	}
	s.Warning, s.Next = outlook(l, c, now)
	s.ResellersUsed, err = tx.UsedBelow(a)
	return s, err
}
