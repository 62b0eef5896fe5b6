package fleet

import (
	"context"
	"errors"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const maxGroups = 500 // of one account

// Groups are all of the account's, by name.
func (f *Fleet) Groups(ctx context.Context, p Principal) ([]Group, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	var gs []Group
	err := f.view(ctx, "list groups", func(tx Tx) (err error) {
		gs, err = tx.Groups(p.Account)
		return err
	})
	return gs, err
}

// GroupPage is a page of Groups, for who asks from outside: choices, rights and
// files need them all.
func (f *Fleet) GroupPage(ctx context.Context, p Principal, cursor string, limit int) (Page[Group], error) {
	if err := p.check(); err != nil {
		return Page[Group]{}, err
	}
	var page Page[Group]
	err := f.view(ctx, "list groups", func(tx Tx) (err error) {
		page, err = tx.GroupPage(p.Account, cursor, pageLimit(limit))
		return err
	})
	return page, err
}

// AddGroup makes a group of devices.
func (f *Fleet) AddGroup(ctx context.Context, p Principal, name string) (Group, error) {
	g := Group{ID: id.NewGroup(), Account: p.Account, Created: f.clock()}
	return f.changeGroup(ctx, p, ActionGroupAdd, name, func(tx Tx, name string, e *AuditEntry) (Group, error) {
		have, err := tx.Groups(p.Account)
		if err != nil {
			return g, err
		}
		if len(have) >= maxGroups {
			return g, fault.New(fault.LimitReached, "There are %d groups already, and there can be no more.", maxGroups)
		}
		g.Name, e.Object = name, "group "+name
		return g, tx.AddGroup(g)
	})
}

// RenameGroup errs with fault.Changed unless match is "" or the group's Tag.
func (f *Fleet) RenameGroup(ctx context.Context, p Principal, group id.Group, name, match string) (Group, error) {
	return f.changeGroup(ctx, p, ActionGroupEdit, name, func(tx Tx, name string, e *AuditEntry) (Group, error) {
		g, err := ownGroup(tx, p, group)
		if err != nil {
			return g, err
		}
		e.Object, e.Detail = "group "+g.Name, "now "+name
		if err := matches(match, g.Tag()); err != nil {
			return g, err
		}
		g.Name = name
		return g, tx.UpdateGroup(g)
	})
}

// RemoveGroup leaves its devices without a group. It errs with fault.Changed
// unless match is "" or the group's Tag.
func (f *Fleet) RemoveGroup(ctx context.Context, p Principal, group id.Group, match string) error {
	if err := p.check(); err != nil {
		return err
	}
	var ended revocations
	err := f.decide(ctx, p.entry(f.clock(), ActionGroupRemove, "group "+string(group)), func(tx Tx, e *AuditEntry) error {
		g, err := ownGroup(tx, p, group)
		if err != nil {
			return err
		}
		e.Object = "group " + g.Name
		if err := mayArrange(p); err != nil {
			return err
		}
		if err := p.mayMove(g.ID, ""); err != nil {
			return err
		}
		if err := matches(match, g.Tag()); err != nil {
			return err
		}
		if err := tx.RemoveGroup(g.ID); err != nil {
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
		return err
	}
	f.regrouped(ctx, p.Account, ended)
	return nil
}

// mayMove: nobody gains a right by moving a PBX to where one may do more.
func (p Principal) mayMove(from, to id.Group) error {
	if !p.Access.On(from).Has(p.Access.On(to) &^ ManagePeople) {
		return fault.New(fault.Forbidden, "Your role may do more with PBXs there than with these, so you may not move them. Ask an owner.").In("group")
	}
	return nil
}

func (f *Fleet) changeGroup(ctx context.Context, p Principal, action, name string, change func(Tx, string, *AuditEntry) (Group, error)) (Group, error) {
	if err := p.check(); err != nil {
		return Group{}, err
	}
	name, err := plainText("name", name)
	if err != nil {
		return Group{}, err
	}
	var g Group
	err = f.decide(ctx, p.entry(f.clock(), action, "group "+name), func(tx Tx, e *AuditEntry) (err error) {
		if err := mayArrange(p); err != nil {
			return err
		}
		if g, err = change(tx, name, e); errors.Is(err, ErrTaken) {
			return fault.New(fault.Taken, "There is a group of that name already.").In("name")
		}
		return err
	})
	if err != nil {
		return Group{}, err
	}
	return g, nil
}

// mayArrange: groups say who may do what, so the right on all devices that
// have none is needed.
func mayArrange(p Principal) error {
	if !p.Access.Default.Has(ManageDevices) {
		return fault.New(fault.Forbidden, "Your role may not arrange groups. Ask an owner or an admin.")
	}
	return nil
}

func ownGroup(tx Tx, p Principal, group id.Group) (Group, error) {
	g, err := tx.Group(group)
	if noRow(err) || err == nil && g.Account != p.Account {
		return Group{}, fault.New(fault.NotFound, "There is no such group in your account.")
	}
	return g, err
}
