package store

import (
	"database/sql"
	"math"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// auditBlock is how many numbers of entries are one in audit_hours, as its triggers
// have it.
const auditBlock = 1024

// auditHour is the hour of a time, as they have it.
func auditHour(t time.Time) int64 { return micros(t) / time.Hour.Microseconds() }

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

// Audit lists entries in the order of their numbers, which is that of times but
// for what the clocks of several control nodes differ; all of a time in that of times.
func (t *tx) Audit(account id.Account, orphans bool, q fleet.AuditQuery) (fleet.Page[fleet.AuditEntry], error) {
	l := auditList{tx: t, of: []id.Account{account}, q: q, whole: entries{0, math.MaxInt64}, auditBounds: wideAudit}
	if orphans {
		l.of = append(l.of, "")
	}
	if err := l.begin(); err != nil {
		return fleet.Page[fleet.AuditEntry]{}, err
	}
	return l.run()
}
