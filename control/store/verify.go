package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// check is a statement that must find nothing; each row says what is wrong.
type check struct{ what, query string }

var checks = []check{
	{"an account's connections in use are not its sites'", `SELECT a.id || ': counts ' || a.used || ', has ' || COUNT(s.id) FROM accounts a
		LEFT JOIN sites s ON s.account = a.id AND s.licensed = 1 GROUP BY a.id, a.used HAVING a.used <> COUNT(s.id)`},
	{"an account's path is not its parent's with its own id", `SELECT a.id FROM accounts a LEFT JOIN accounts p ON p.id = a.parent
		WHERE a.path <> COALESCE(p.path, '') || a.id || '/'`},
	{"a site without a device", "SELECT s.id FROM sites s WHERE NOT EXISTS (SELECT 1 FROM devices d WHERE d.site = s.id)"},
	{"a site of more than two devices", "SELECT d.site FROM devices d WHERE d.site IS NOT NULL GROUP BY d.site HAVING COUNT(*) > 2"},
	{"a device and its site in two accounts", "SELECT d.id FROM devices d JOIN sites s ON s.id = d.site WHERE s.account <> d.account"},
	{"a device in a group that is not its account's", `SELECT d.id FROM devices d WHERE d.grp <> '' AND NOT EXISTS
		(SELECT 1 FROM device_groups g WHERE g.id = d.grp AND g.account = d.account)`},
	{"an account's devices are counted wrong", `SELECT x.account || ', ' || x.status || ': ' || SUM(x.n) || ' too many' FROM
		(SELECT account, grp, status, n FROM device_counts UNION ALL SELECT account, grp, status, -1 FROM devices) AS x
		GROUP BY x.account, x.grp, x.status HAVING SUM(x.n) <> 0`},
	{"an audit entry that is not found by its time", fmt.Sprintf(`SELECT CAST(a.seq AS TEXT) FROM audit a WHERE NOT EXISTS
		(SELECT 1 FROM audit_hours h WHERE h.account = a.account AND h.hour = a.at / %d AND h.block = a.seq / %d)`, time.Hour.Microseconds(), auditBlock)},
}

// checksSQLite are of what SQLite alone has: the indexes of searches.
func checksSQLite() (checks []check) {
	for _, k := range keyeds {
		checks = append(checks,
			check{"a device whose place is not in its order", k.on(fmt.Sprintf(`SELECT id FROM (SELECT d.id, d.{place} >> %[1]d AS label,
				LAG(d.{place} >> %[1]d) OVER (ORDER BY {key}, d.id) AS before FROM devices d) WHERE label IS NULL OR label < before`, slotBits))},
			check{"a device that searches do not find", k.on("SELECT d.id FROM devices d WHERE NOT EXISTS (SELECT 1 FROM {index} s WHERE s.rowid = d.{place})")},
			check{"searches find a device that is not there, at place", k.on("SELECT CAST(s.rowid AS TEXT) FROM {index} s WHERE NOT EXISTS (SELECT 1 FROM devices d WHERE d.{place} = s.rowid)")})
	}
	return checks
}

// checksPostgres are of the texts that searches look in.
var checksPostgres = []check{
	{"a device that searches do not find", `SELECT d.id FROM devices d LEFT JOIN device_texts x ON x.id = d.id
		WHERE x.id IS NULL OR x.account <> d.account OR x.sort_name <> d.sort_name OR x.search <> d.search OR x.since <> d.since`},
}

// maxFindings bounds what one check says.
const maxFindings = 10

// Verify reads the whole database and says what is wrong with it: pages,
// references, and what is counted in two places.
func (s *Store) Verify(ctx context.Context) (findings []string, err error) {
	if !s.postgres {
		if err := checkPages(ctx, s.read); err != nil {
			if damaged(err) {
				return []string{err.Error()}, nil
			}
			findings = append(findings, err.Error())
		}
	}
	opts := &sql.TxOptions{ReadOnly: true}
	if s.postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	t, err := s.read.BeginTx(ctx, opts)
	if err != nil {
		return nil, classified(err)
	}
	defer func() { _ = t.Rollback() }() // nothing was written
	if s.postgres {
		if _, err := t.ExecContext(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return nil, classified(err)
		}
	} else if err := dangling(ctx, t, &findings); err != nil {
		return nil, err
	}
	own := checksPostgres
	if !s.postgres {
		own = checksSQLite()
	}
	for _, c := range slices.Concat(checks, own) {
		if err := c.run(ctx, t, &findings); err != nil {
			return nil, err
		}
	}
	if s.postgres {
		for _, k := range keyeds {
			if err := checkRanges(ctx, t, k, &findings); err != nil {
				return findings, err
			}
		}
	}
	return findings, nil
}

func (c check) run(ctx context.Context, t *sql.Tx, findings *[]string) error {
	rows, err := t.QueryContext(ctx, c.query+fmt.Sprintf(" LIMIT %d", maxFindings))
	if err != nil {
		return classified(err)
	}
	defer rows.Close()
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			return err
		}
		*findings = append(*findings, c.what+": "+row)
	}
	if err := rows.Err(); err != nil {
		return classified(err)
	}
	return nil
}

// dangling finds references to rows that are not there, which PostgreSQL does
// not let happen.
func dangling(ctx context.Context, t *sql.Tx, findings *[]string) error {
	rows, err := t.QueryContext(ctx, fmt.Sprintf(`SELECT "table" || ' refers to a row of ' || "parent" || ' that is not there' FROM pragma_foreign_key_check LIMIT %d`, maxFindings))
	if err != nil {
		return classified(err)
	}
	defer rows.Close()
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			return err
		}
		*findings = append(*findings, row)
	}
	return rows.Err()
}
