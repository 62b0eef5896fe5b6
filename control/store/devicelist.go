package store

import (
	"fmt"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// orders of a list of devices: the column, the same for sorting few rows that
// no index has in order, and the cursor's value of it.
var orders = map[string]struct {
	column string
	few    string
	value  func(fleet.Device) any
	read   func() any // where a cursor's value is decoded to
}{
	"":               {"d.sort_name", "(d.sort_name || '')", func(d fleet.Device) any { return sortName(d) }, func() any { return new(string) }},
	fleet.SortName:   {"d.sort_name", "(d.sort_name || '')", func(d fleet.Device) any { return sortName(d) }, func() any { return new(string) }},
	fleet.SortSerial: {"COALESCE(d.serial, '')", "(COALESCE(d.serial, '') || '')", func(d fleet.Device) any { return string(d.Serial) }, func() any { return new(string) }},
	fleet.SortSince:  {"d.since", "(d.since + 0)", func(d fleet.Device) any { return micros(d.Presence.Since) }, func() any { return new(int64) }},
}

func (t *tx) Devices(account id.Account, q fleet.DeviceQuery) (fleet.Page[fleet.Device], error) {
	var none fleet.Page[fleet.Device]
	order, ok := orders[q.Sort]
	if !ok {
		return none, fmt.Errorf("order devices by %q", q.Sort)
	}
	if q.Search != "" {
		return t.searchDevices(account, q)
	}
	w, err := t.selected(account, q, byConditions)
	if err != nil {
		return none, err
	}
	total, more, err := t.countSome("devices d", w)
	if err != nil || total == 0 && q.Cursor == "" {
		return none, err
	}
	column := order.column
	whole := !q.Sub && q.Status == "" && q.Group == "" && q.Seen.Except && len(q.Seen.Groups) == 0 // all of one account stand in order on an index
	if more || whole {
		if w, err = t.selected(account, q, byOrder); err != nil {
			return none, err
		}
	} else {
		column = order.few
	}
	if q.Cursor != "" {
		value, last := order.read(), ""
		if err := readCursor(q.Cursor, value, &last); err != nil {
			return none, err
		}
		w.and(column+" "+after(q)+"= ? AND ("+column+", d.id) "+after(q)+" (?, ?)", deref(value), deref(value), last) // pairs are not looked up on an index of an expression
	}
	ds, err := all(t, scanDevice, selectDevice+w.String()+ordered(column, q, q.Limit+1), w.args...)
	if err != nil {
		return none, err
	}
	p := page(ds, q.Limit, total, func(d fleet.Device) string { return cursor(order.value(d), d.ID) })
	p.More = more
	return p, nil
}

// after compares what comes after a cursor with it.
func after(q fleet.DeviceQuery) string {
	if q.Desc {
		return "<"
	}
	return ">"
}

func ordered(column string, q fleet.DeviceQuery, limit int) string {
	direction := ""
	if q.Desc {
		direction = " DESC"
	}
	return fmt.Sprintf(" ORDER BY %s%s, d.id%s LIMIT %d", column, direction, direction, limit)
}

func deref(v any) any {
	switch x := v.(type) {
	case *string:
		return *x
	case *int64:
		return *x
	}
	panic("BUG: type of a cursor's value")
}

// reading is how the devices of a list are come by.
type reading int

const (
	byConditions reading = iota // few: found by what selects them, then sorted
	byOrder                     // many: gone through in their order, taking what fits, which ends soon
	byKey                       // known already
)

// selected are a query's conditions on devices d, the search aside, put so
// that the indexes for the reading are taken and a page costs the same however
// many devices there are.
func (t *tx) selected(account id.Account, q fleet.DeviceQuery, r reading) (w where, err error) {
	column := func(name string) string {
		if r == byConditions {
			return name
		}
		return t.unindexed(name)
	}
	own, status, group := "d.account", column("d.status"), column("d.grp")
	if named := q.Sort == "" || q.Sort == fleet.SortName; r == byKey {
		own = t.unindexed(own)
	} else if named { // there are indexes of these in this order
		status, group = "d.status", "d.grp"
	}
	switch {
	case !q.Sub:
		w.and(own+" = ?", account)
	case q.Account != "":
		w.and(own+" = ?", q.Account)
	default:
		a, err := t.Account(account)
		if err != nil {
			return w, err
		}
		w.and(column("d.account")+" IN (SELECT a.id FROM accounts a WHERE a.path LIKE ? AND a.id <> ?)", a.Path+"%", account)
	}
	if q.Status != "" {
		w.and(status+" = ?", q.Status)
	}
	switch q.Group {
	case "":
	case fleet.GroupNone:
		w.and(group + " = ''")
	default:
		w.and(group+" = ?", q.Group)
	}
	if cond, args := inGroups(column("d.grp"), q.Seen); cond != "" {
		w.and(cond, args...)
	}
	return w, nil
}

// inGroups is the condition that f selects the group in column; "" if it
// selects all.
func inGroups(column string, f fleet.GroupFilter) (cond string, args []any) {
	if len(f.Groups) == 0 {
		if !f.Except {
			cond = "1 = 0"
		}
		return cond, nil
	}
	args = make([]any, len(f.Groups))
	for i, g := range f.Groups {
		args[i] = g
	}
	not := ""
	if f.Except {
		not = "NOT "
	}
	return column + " " + not + "IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(args)), ", ") + ")", args
}

// countSome counts rows up to fleet.MaxTotal, or searchTotal, and says whether
// there are more.
func (t *tx) countSome(from string, w where) (n int, more bool, err error) {
	most := fleet.MaxTotal
	if w.scan {
		most = searchTotal
	}
	n, err = t.count(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM %s%s LIMIT %d) AS n", from, w.String(), most+1), w.args...)
	if n > most {
		return most, true, err
	}
	return n, false, err
}
