package fleet

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// exportPage is how many rows an export reads in one transaction, so that a
// slow reader holds none open.
const exportPage = 500

// EachDevice calls fn for every device that q selects, or for those of ids if
// there are any, in q's order; it ends at fn's error.
func (f *Fleet) EachDevice(ctx context.Context, p Principal, q DeviceQuery, ids []id.Device, fn func(Device) error) error {
	if len(ids) > 0 {
		return f.eachChosen(ctx, p, q, ids, fn)
	}
	q.Limit, q.Cursor = exportPage, ""
	for {
		page, err := f.devices(ctx, p, q)
		if err != nil {
			return err
		}
		for _, d := range page.Items {
			if err := fn(d); err != nil {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}

// eachChosen leaves out what p cannot see.
func (f *Fleet) eachChosen(ctx context.Context, p Principal, q DeviceQuery, ids []id.Device, fn func(Device) error) error {
	if err := p.check(); err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	if len(ids) > maxChosen {
		return fault.New(fault.Invalid, "At most %d PBXs can be chosen. Narrow the list down instead.", maxChosen).In("id")
	}
	var ds []Device
	err := f.view(ctx, "read chosen devices", func(tx Tx) error {
		ds = ds[:0]
		for _, x := range ids {
			d, own, err := reachable(p, tx, x)
			switch {
			case fault.CodeOf(err) == fault.NotFound:
				continue
			case err != nil:
				return err
			case !own:
				a, err := tx.Account(d.Account)
				if err != nil {
					return err
				}
				d.Owner = a.Name
			}
			ds = append(ds, d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range ds {
		f.presence.overlay(&ds[i])
	}
	slices.SortFunc(ds, q.compare)
	for _, d := range ds {
		if err := fn(d); err != nil {
			return err
		}
	}
	return nil
}

// compare is the order of a list, for devices that were read one by one.
func (q DeviceQuery) compare(a, b Device) int {
	var n int
	switch q.Sort {
	case SortSerial:
		n = cmp.Compare(a.Serial, b.Serial)
	case SortSince:
		n = a.Presence.Since.Compare(b.Presence.Since)
	default:
		n = cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	}
	if n = cmp.Or(n, cmp.Compare(a.ID, b.ID)); q.Desc {
		return -n
	}
	return n
}

// maxChosen is how many devices can be named at once.
const maxChosen = 1000

// EachAudit calls fn for every entry that q selects, newest first; it ends at
// fn's error.
func (f *Fleet) EachAudit(ctx context.Context, p Principal, q AuditQuery, fn func(AuditEntry) error) error {
	q.Limit, q.Cursor = exportPage, ""
	for {
		page, err := f.audit(ctx, p, q)
		if err != nil {
			return err
		}
		for _, e := range page.Items {
			if err := fn(e); err != nil {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}
