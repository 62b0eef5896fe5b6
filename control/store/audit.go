package store

import (
	"database/sql"
	"fmt"
	"math"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

const auditColumns = "at, account, actor, remote, action, object, outcome, detail"

func scanAudit(r scanner) (e fleet.AuditEntry, err error) {
	err = r.Scan(&e.Seq, stamp{&e.At}, &e.Account, &e.Actor, &e.Remote, &e.Action, &e.Object, &e.Outcome, &e.Detail)
	return e, err
}

func (t *tx) AddAudit(e fleet.AuditEntry) error { return t.addAudit(sql.NullString{}, e) }

func (t *tx) AddAuditOnce(key string, e fleet.AuditEntry) error {
	return t.addAudit(sql.NullString{String: key, Valid: true}, e)
}

func (t *tx) addAudit(once sql.NullString, e fleet.AuditEntry) error {
	search := strings.ToLower(strings.Join([]string{e.Actor, e.Object, e.Remote, e.Outcome, e.Detail}, "\n"))
	return t.insert("INSERT INTO audit ("+auditColumns+`, search, once_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (once_key) DO NOTHING`,
		micros(e.At), e.Account, e.Actor, e.Remote, e.Action, e.Object, e.Outcome, e.Detail, search, once)
}

func (t *tx) Audit(account id.Account, orphans bool, q fleet.AuditQuery) (fleet.Page[fleet.AuditEntry], error) {
	f, err := t.find(auditSearched, q.Search, false)
	if err != nil {
		return fleet.Page[fleet.AuditEntry]{}, err
	}
	at := "at"
	if f.named {
		at = t.unindexed(at)
	}
	w := t.audited(where{}, account, orphans, q, f, at)
	if w.scan {
		if err := t.inOrder(); err != nil {
			return fleet.Page[fleet.AuditEntry]{}, err
		}
	}
	total, more, err := t.countSome("audit", w)
	if err != nil {
		return fleet.Page[fleet.AuditEntry]{}, err
	}
	last := int64(math.MaxInt64)
	if q.Cursor != "" {
		if err := readCursor(q.Cursor, &last); err != nil {
			return fleet.Page[fleet.AuditEntry]{}, err
		}
	}
	newest := fmt.Sprintf(" ORDER BY seq DESC LIMIT %d", q.Limit+1)
	var parts []string
	walk := func(w *where) {
		w.and("seq < ?", last)
		parts = append(parts, fmt.Sprintf("SELECT * FROM (SELECT seq, %s FROM audit%s%s) AS walk%d", auditColumns, w.String(), newest, len(parts)))
	}
	if more && !f.named { // gone through in order, from the newest on: each account's, which is an order of its own
		w = t.audited(where{}, account, false, q, f, t.unindexed("at"))
		if orphans {
			walk(&w)
			w = t.audited(where{args: w.args}, "", false, q, f, t.unindexed("at"))
		}
	}
	walk(&w)
	es, err := all(t, scanAudit, strings.Join(parts, " UNION ALL ")+newest, w.args...)
	if err != nil {
		return fleet.Page[fleet.AuditEntry]{}, err
	}
	p := page(es, q.Limit, total, func(e fleet.AuditEntry) string { return cursor(e.Seq) })
	p.More = more
	return p, nil
}

// audited are a query's conditions on entries, behind w's arguments; at is their
// time's column.
func (t *tx) audited(w where, account id.Account, orphans bool, q fleet.AuditQuery, f finding, at string) where {
	if q.Search != "" {
		w.scan = !f.named
		w.and(f.cond, f.args...)
	}
	column := func(name string) string { // what the search's index found is not looked for on another
		if f.named {
			return t.unindexed(name)
		}
		return name
	}
	if orphans {
		w.and(column("account")+" IN (?, '')", account)
	} else {
		w.and(column("account")+" = ?", account)
	}
	if q.Action != "" {
		w.and(column("action")+" = ?", q.Action)
	}
	if q.Actor != "" {
		w.and(column("actor")+" = ?", q.Actor)
	}
	switch q.Outcome {
	case "":
	case fleet.OutcomeRefused:
		w.and("outcome <> 'ok' AND seq > 0") // what has SQLite take the refusals' own index
	default:
		w.and("outcome = ?", q.Outcome)
	}
	if !q.From.IsZero() {
		w.and(at+" >= ?", micros(q.From))
	}
	if !q.To.IsZero() {
		w.and(at+" < ?", micros(q.To))
	}
	return w
}
