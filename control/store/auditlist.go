package store

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// auditBounds are how far a list of audit entries is looked for in one way before
// another.
type auditBounds struct {
	near int // how many of the newest are looked at for what was typed before an index is asked
	sort int // up to how many that PostgreSQL's index of texts finds are sorted: more are sooner met
}

var wideAudit = auditBounds{near: searchWalk, sort: 10_000}

// auditList is a list of audit entries under way.
type auditList struct {
	*tx
	of      []id.Account // whose entries; "": nobody's
	q       fleet.AuditQuery
	find    finding
	filters []auditFilter           // on SQLite the first one's index is gone through
	whole   entries                 // those of the time asked for are among them; none if the last is 0
	start   struct{ seq, at int64 } // where the page before ended
	auditBounds
}

// entries are those from one number to another, both included.
type entries struct{ first, last int64 }

// auditFilter is what a column of an entry has to be.
type auditFilter struct {
	column, test string
	args         []any
	have         int // entries that have it, as far as counted
}

// begin reads what is asked for, and asks the index of a search for the entries
// that match, which it names if they are few.
func (l *auditList) begin() (err error) {
	if err := l.planned(); err != nil {
		return err
	}
	if l.q.Cursor != "" {
		if err := readCursor(l.q.Cursor, &l.start.seq, &l.start.at); err != nil {
			return err
		}
	}
	for _, f := range []struct{ column, value string }{{"action", l.q.Action}, {"actor", l.q.Actor}, {"outcome", l.q.Outcome}} {
		switch f.value {
		case "":
		case fleet.OutcomeRefused:
			l.filters = append(l.filters, auditFilter{column: f.column, test: "<> 'ok'"})
		default:
			l.filters = append(l.filters, auditFilter{column: f.column, test: "= ?", args: []any{f.value}})
		}
	}
	if l.q.Search != "" {
		l.find, err = l.tx.find(auditSearched, l.q.Search, false)
	}
	return err
}

// run reads the page: of the few that are named, or of what is gone through.
func (l *auditList) run() (out fleet.Page[fleet.AuditEntry], err error) {
	read := l.named
	switch timed := !l.q.From.IsZero() || !l.q.To.IsZero(); {
	case l.find.named:
	case timed && l.q.Search == "" && len(l.filters) == 0:
		read = l.timed
	default:
		if err := l.between(); err != nil || l.whole.last == 0 {
			return out, err
		}
		if err := l.rarest(); err != nil {
			return out, err
		}
		if read = l.listed; l.q.Search != "" {
			read = l.searched
		}
	}
	es, total, more, err := read()
	if err != nil {
		return out, err
	}
	out = page(es, l.q.Limit, total, func(e fleet.AuditEntry) string { return cursor(e.Seq, micros(e.At)) })
	out.More = more
	return out, nil
}

// rest are the entries after the page before.
func (l *auditList) rest() entries {
	if l.q.Cursor == "" {
		return l.whole
	}
	return entries{l.whole.first, min(l.whole.last, l.start.seq-1)}
}

// rarest has the filter first that fewest entries pass, so that those are gone
// through. PostgreSQL knows that by itself.
func (l *auditList) rarest() error {
	if l.postgres || len(l.filters) < 2 {
		return nil
	}
	for i, f := range l.filters {
		n, err := l.have(f, fleet.MaxTotal+1)
		if err != nil {
			return err
		}
		l.filters[i].have = n
	}
	slices.SortFunc(l.filters, func(a, b auditFilter) int {
		return cmp.Or(cmp.Compare(a.have, b.have), strings.Compare(a.column, b.column))
	})
	return nil
}

// have is how many entries pass a filter, up to most, by its index alone: of those
// near the time that is asked for.
func (l *auditList) have(f auditFilter, most int) (int, error) {
	var w where
	var parts []string
	for _, a := range l.of {
		w = where{args: w.args}
		w.and("account = ?", a)
		w.and("seq >= ?", l.whole.first)
		w.and("seq <= ?", l.whole.last)
		w.and(f.column+" "+f.test, f.args...)
		parts = append(parts, fmt.Sprintf("(SELECT COUNT(*) FROM (SELECT 1 FROM %s%s LIMIT %d) AS n)", l.by(f.index()), w.String(), most))
	}
	return l.count("SELECT "+strings.Join(parts, " + "), w.args...)
}

// between finds from which number to which entries of the time asked for are:
// those before and after need not be gone through. Clocks of control nodes differ,
// so others are among them.
func (l *auditList) between() error {
	if l.q.From.IsZero() && l.q.To.IsZero() {
		return nil
	}
	w := l.mine(where{}, true)
	if !l.q.From.IsZero() {
		w.and("hour >= ?", auditHour(l.q.From))
	}
	if !l.q.To.IsZero() {
		w.and("hour <= ?", auditHour(l.q.To))
	}
	var first, last sql.NullInt64
	if err := l.tx.sql.QueryRowContext(l.ctx, "SELECT MIN(block), MAX(block) FROM audit_hours"+w.String(), w.args...).Scan(&first, &last); err != nil {
		return classified(err)
	}
	l.whole = entries{}
	if last.Valid {
		l.whole = entries{first.Int64 * auditBlock, (last.Int64+1)*auditBlock - 1}
	}
	return nil
}

// mine are all entries of those accounts, by their index or by something else.
func (l *auditList) mine(w where, index bool) where {
	column := "account"
	if !index {
		column = l.unindexed(column)
	}
	if len(l.of) == 1 {
		w.and(column+" = ?", l.of[0])
	} else {
		w.and(column+" IN (?, ?)", l.of[0], l.of[1])
	}
	return w
}

// asked adds what is asked for beside the accounts and the search, by its index or
// by something else.
func (l *auditList) asked(w where, index bool) where {
	for _, f := range l.filters {
		column := f.column
		if !index {
			column = l.unindexed(column)
		}
		w.and(column+" "+f.test, f.args...)
	}
	return l.ofTime(w, l.unindexed("at"))
}

// ofTime adds the time that is asked for.
func (l *auditList) ofTime(w where, at string) where {
	if !l.q.From.IsZero() {
		w.and(at+" >= ?", micros(l.q.From))
	}
	if !l.q.To.IsZero() {
		w.and(at+" < ?", micros(l.q.To))
	}
	return w
}

// walk is the query for n of the entries, the newest first: each account's are
// gone through, which stand in an order of their own.
func (l *auditList) walk(columns string, f finding, e entries, n int) (string, []any) {
	order := fmt.Sprintf(" ORDER BY seq DESC LIMIT %d", n)
	var args []any
	var parts []string
	for i, a := range l.of {
		w := l.each(a, args, f, e)
		parts = append(parts, fmt.Sprintf("SELECT * FROM (SELECT %s FROM %s%s%s) AS walk%d", columns, l.table(), w.String(), order, i))
		args = w.args
	}
	return strings.Join(parts, " UNION ALL ") + order, args
}

// by has SQLite take an index of the audit log: it would choose by how much a
// condition asks for, not by how many entries there are.
func (l *auditList) by(index string) string {
	if l.postgres {
		return "audit"
	}
	return "audit INDEXED BY audit_" + index
}

// table is gone through by the first filter, or by the account.
func (l *auditList) table() string {
	if len(l.filters) == 0 {
		return l.by("account")
	}
	return l.by(l.filters[0].index())
}

// index has what passes.
func (f auditFilter) index() string {
	if f.args == nil {
		return "refused"
	}
	return f.column
}

// each are an account's entries, behind other arguments.
func (l *auditList) each(a id.Account, args []any, f finding, e entries) where {
	w := where{args: args}
	w.and("account = ?", a)
	w.and("seq >= ?", e.first)
	w.and("seq <= ?", e.last)
	w = l.asked(w, true)
	if f.cond != "" {
		w.and(f.cond, f.args...)
	}
	return w
}

// counted is how many entries there are up to most, the search aside.
func (l *auditList) counted(most int) (int, error) {
	var args []any
	var parts []string
	for _, a := range l.of {
		w := l.each(a, args, finding{}, l.whole)
		parts = append(parts, fmt.Sprintf("(SELECT COUNT(*) FROM (SELECT 1 FROM %s%s LIMIT %d) AS n)", l.table(), w.String(), most))
		args = w.args
	}
	n, err := l.count("SELECT "+strings.Join(parts, " + "), args...)
	return min(n, most), err
}

// listed reads a page of all that are asked for.
func (l *auditList) listed() (es []fleet.AuditEntry, total int, more bool, err error) {
	if total, err = l.counted(fleet.MaxTotal + 1); err != nil {
		return nil, 0, false, err
	}
	query, args := l.walk("seq, "+auditColumns, finding{}, l.rest(), l.q.Limit+1)
	es, err = all(l.tx, scanAudit, query, args...)
	return es, min(total, fleet.MaxTotal), total > fleet.MaxTotal, err
}

// timed reads a page of all of a time, in the order of times: a day's entries are
// then found at once, wherever they are.
func (l *auditList) timed() (es []fleet.AuditEntry, total int, more bool, err error) {
	const order = " ORDER BY at DESC, seq DESC"
	var counted, read where
	var counts, pages []string
	for i, a := range l.of {
		of := func(w where) where {
			w = where{args: w.args}
			w.and("account = ?", a)
			return l.ofTime(w, "at")
		}
		counted = of(counted)
		counts = append(counts, fmt.Sprintf("(SELECT COUNT(*) FROM (SELECT 1 FROM %s%s LIMIT %d) AS n)", l.by("time"), counted.String(), fleet.MaxTotal+1))
		if read = of(read); l.q.Cursor != "" {
			read.and("(at, seq) < (?, ?)", l.start.at, l.start.seq)
		}
		pages = append(pages, fmt.Sprintf("SELECT * FROM (SELECT seq, %s FROM %s%s%s LIMIT %d) AS walk%d", auditColumns, l.by("time"), read.String(), order, l.q.Limit+1, i))
	}
	if total, err = l.count("SELECT "+strings.Join(counts, " + "), counted.args...); err != nil {
		return nil, 0, false, err
	}
	es, err = all(l.tx, scanAudit, strings.Join(pages, " UNION ALL ")+order+fmt.Sprintf(" LIMIT %d", l.q.Limit+1), read.args...)
	return es, min(total, fleet.MaxTotal), total > fleet.MaxTotal, err
}

// named reads a page of the few that the index of a search has named.
func (l *auditList) named() (es []fleet.AuditEntry, total int, more bool, err error) {
	var w where
	w.and(l.find.cond, l.find.args...)
	w = l.asked(l.mine(w, false), false)
	if total, err = l.count("SELECT COUNT(*) FROM audit"+w.String(), w.args...); err != nil || total == 0 {
		return nil, 0, false, err
	}
	w.and(l.unindexed("seq")+" <= ?", l.rest().last)
	es, err = all(l.tx, scanAudit, "SELECT seq, "+auditColumns+" FROM audit"+w.String()+fmt.Sprintf(" ORDER BY seq DESC LIMIT %d", l.q.Limit+1), w.args...)
	return es, total, false, err
}
