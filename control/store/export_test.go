package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

var (
	Cursor     = cursor
	ReadCursor = readCursor
	SortName   = sortName
	SearchText = searchText
)

// LimitPages makes the disk look full at n pages.
func LimitPages(t *testing.T, s *Store, n int) { pragma(t, s, fmt.Sprintf("max_page_count = %d", n)) }

// Impatient has the writer wait for other processes' locks not at all.
func Impatient(t *testing.T, s *Store) { pragma(t, s, "busy_timeout = 0") }

func pragma(t *testing.T, s *Store, text string) {
	t.Helper()
	if _, err := s.write.Exec("PRAGMA " + text); err != nil {
		t.Fatal(err)
	}
}

// TableNames are the tables that an import brings over.
func TableNames() (names []string) {
	for _, t := range tables {
		names = append(names, t.name)
	}
	return names
}

// SchemaTables are all that there are.
func SchemaTables(t *testing.T, s *Store) []string {
	t.Helper()
	rows, err := s.read.Query("SELECT name FROM sqlite_master WHERE type = 'table'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// AtFirstSchema makes an SQLite database of schema 1 and fills it.
func AtFirstSchema(t *testing.T, path, statements string) {
	t.Helper()
	if err := private(path); err != nil {
		t.Fatal(err)
	}
	db, err := openSQLite(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	atFirst(t, db, goose.DialectSQLite3, "migrations/sqlite", statements)
}

var blob = regexp.MustCompile(`X'([0-9a-f]*)'`)

// AtFirstSchemaPostgres is AtFirstSchema on PostgreSQL.
func AtFirstSchemaPostgres(t *testing.T, url, statements string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	atFirst(t, db, goose.DialectPostgres, "migrations/postgres", blob.ReplaceAllString(statements, `'\x$1'`))
}

func atFirst(t *testing.T, db *sql.DB, dialect goose.Dialect, dir, statements string) {
	t.Helper()
	defer db.Close()
	p, err := provider(db, dialect, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(statements); err != nil {
		t.Fatal(err)
	}
}

// Analyze has PostgreSQL look at what there is, which it does by itself in time.
func Analyze(ctx context.Context, s *Store) error {
	if !s.postgres {
		return nil
	}
	_, err := s.write.ExecContext(ctx, "VACUUM ANALYZE")
	return err
}

// Group puts the account's devices whose serial number is like pattern into g.
func Group(ctx context.Context, s *Store, account id.Account, g id.Group, pattern string) error {
	return s.Tx(ctx, func(ft fleet.Tx) error {
		t := ft.(*tx)
		was, err := t.wasIndexed("d.account = $1 AND d.serial LIKE $2", account, pattern)
		if err != nil {
			return err
		}
		return errors.Join(t.insert("UPDATE devices SET grp = $1 WHERE account = $2 AND serial LIKE $3", g, account, pattern), t.reindexGroup(was, g))
	})
}

// Plans are how SQLite goes through many devices, and how it counts them.
func Plans(t *testing.T, s *Store, account id.Account, q fleet.DeviceQuery) (walk, count string) {
	t.Helper()
	explained(t, s, func(x *tx) error {
		many, err := x.selected(account, q, byOrder)
		if err != nil {
			return err
		}
		few, err := x.selected(account, q, byConditions)
		if err != nil {
			return err
		}
		if walk, err = x.explain(selectDevice+many.String()+ordered(orders[q.Sort].column, q, q.Limit+1), many.args); err != nil {
			return err
		}
		count, err = x.explain("SELECT 1 FROM devices d"+few.String(), few.args)
		return err
	})
	return walk, count
}

// SearchPlans are how SQLite comes by the devices of a search: those that the
// index finds, those whose name begins with it, and the others, gone through or
// read from the index.
func SearchPlans(t *testing.T, s *Store, account id.Account, q fleet.DeviceQuery) (found, begin, other, stream string) {
	t.Helper()
	explained(t, s, func(x *tx) error {
		ds := deviceSearch{tx: x, account: account, q: q, named: true}
		err := ds.ask()
		if err != nil {
			return err
		}
		if ds.find, err = x.named(looking(devicesSearched, q.Search), devicesSearched, ds.match, searchNamed); err != nil {
			return err
		}
		plan := func(query string, args []any, err error) (string, error) {
			if err != nil {
				return "", err
			}
			return x.explain(query, args)
		}
		if found, err = plan(ds.sorting()); err != nil {
			return err
		}
		ds.find = looking(devicesSearched, q.Search)
		if begin, err = plan(ds.walking(begins, 50)); err != nil {
			return err
		}
		if other, err = plan(ds.walking(others, 50)); err != nil {
			return err
		}
		stream, err = plan(ds.streaming())
		return err
	})
	return found, begin, other, stream
}

// Crowd gives devices places with so little room that many must make some, and
// ranges so small that they are parted and made anew.
func Crowd(s *Store) {
	s.places = numbering{slots: 4, stride: 8, sparse: 2}
	s.ranges = sizing{devices: 4, batch: 30, rebuild: 90}
}

// CountRanges says how many ranges of names PostgreSQL has, and how many changes
// are in none.
func CountRanges(t *testing.T, s *Store) (ranges, changes int) {
	t.Helper()
	explained(t, s, func(x *tx) (err error) {
		if ranges, err = x.count("SELECT COUNT(*) FROM name_ranges"); err != nil {
			return err
		}
		changes, err = x.count("SELECT COUNT(*) FROM text_changes")
		return err
	})
	return ranges, changes
}

var (
	DecodeRanges = decodeRanges
	EncodeRanges = rangeList.encode
)

// CombineRanges are what either list has, and what both have; more says whether
// the second one adds to the first.
func CombineRanges(a, b rangeList) (either, both rangeList, more bool) {
	either, more = a.or(b)
	return either, a.and(b), more
}

// Gone is what a search finds by going through the devices.
func Gone(x fleet.Tx, account id.Account, q fleet.DeviceQuery) (out fleet.Page[fleet.Device], err error) {
	s := deviceSearch{tx: x.(*tx), account: account, q: q, named: q.Sort == "" || q.Sort == fleet.SortName, find: looking(devicesSearched, q.Search), look: 120, soon: -1, pick: 150, most: reach{keys: 20, chunk: 8}}
	if err := s.begin(); err != nil {
		return out, err
	}
	if s.tx.postgres && q.Sort != fleet.SortSince {
		if err := s.narrow(); err != nil {
			return out, err
		}
	}
	return s.read(false)
}

// Places are of all devices.
func Places(t *testing.T, s *Store) map[id.Device]int64 {
	t.Helper()
	out := make(map[id.Device]int64)
	explained(t, s, func(x *tx) error {
		ds, err := all(x, scanIndexed, byName.selectIndexed(""))
		for _, d := range ds {
			out[d.id] = d.place
		}
		return err
	})
	return out
}

// Streamed is what a search finds whose other conditions all is taken to have.
func Streamed(x fleet.Tx, account id.Account, q fleet.DeviceQuery) (fleet.Page[fleet.Device], error) {
	s := deviceSearch{tx: x.(*tx), account: account, q: q, named: q.Sort != fleet.SortSerial, most: farReach}
	return s.run()
}

func explained(t *testing.T, s *Store, read func(*tx) error) {
	t.Helper()
	if err := s.View(t.Context(), func(x fleet.Tx) error { return read(x.(*tx)) }); err != nil {
		t.Fatal(err)
	}
}

func (t *tx) explain(query string, args []any) (string, error) {
	lines, err := all(t, func(r scanner) (line string, err error) {
		var a, b, c any
		err = r.Scan(&a, &b, &c, &line)
		return line, err
	}, "EXPLAIN QUERY PLAN "+query, args...)
	return strings.Join(lines, "\n"), err
}

// AuditHours is how many blocks of audit entries' numbers are known by their hours.
func AuditHours(t *testing.T, s *Store) (n int) {
	t.Helper()
	explained(t, s, func(x *tx) (err error) {
		n, err = x.count("SELECT COUNT(*) FROM audit_hours")
		return err
	})
	return n
}

// SkipAudit leaves out numbers of audit entries, as what others add does.
func SkipAudit(x fleet.Tx, n int) error {
	t := x.(*tx)
	query := "UPDATE sqlite_sequence SET seq = seq + $1 WHERE name = 'audit'"
	if t.postgres {
		query = "SELECT setval(pg_get_serial_sequence('audit', 'seq'), nextval(pg_get_serial_sequence('audit', 'seq')) + $1)"
	}
	_, err := t.sql.ExecContext(t.ctx, query, n)
	return err
}

// NarrowAudit is a list of audit entries with bounds so low that each way of
// going through them has its turn.
func NarrowAudit(x fleet.Tx, account id.Account, orphans bool, q fleet.AuditQuery) (out fleet.Page[fleet.AuditEntry], err error) {
	l := auditList{tx: x.(*tx), of: []id.Account{account}, q: q, whole: entries{0, math.MaxInt64}, auditBounds: auditBounds{near: 25, sort: 90}}
	if orphans {
		l.of = append(l.of, "")
	}
	if err := l.begin(); err != nil {
		return out, err
	}
	if q.Search != "" { // as if many had it
		expected := l.find.expected
		l.find = looking(auditSearched, q.Search)
		l.find.expected = expected
	}
	return l.run()
}

// Uncounted takes away what counts devices, and gives what brings it back.
func Uncounted(ctx context.Context, s *Store) (again func() error, err error) {
	run := func(statements []string) error {
		for _, x := range statements {
			if _, err := s.write.ExecContext(ctx, x); err != nil {
				return err
			}
		}
		return nil
	}
	off := []string{"DROP TRIGGER device_counts_add", "DROP TRIGGER device_counts_change"}
	var on []string
	if s.postgres {
		off = []string{"ALTER TABLE devices DISABLE TRIGGER device_counts_add", "ALTER TABLE devices DISABLE TRIGGER device_counts_change"}
		on = []string{"ALTER TABLE devices ENABLE TRIGGER device_counts_add", "ALTER TABLE devices ENABLE TRIGGER device_counts_change"}
	} else {
		rows, err := s.write.QueryContext(ctx, "SELECT sql FROM sqlite_master WHERE name IN ('device_counts_add', 'device_counts_change')")
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var x string
			if err := rows.Scan(&x); err != nil {
				return nil, err
			}
			on = append(on, x)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, err
		}
	}
	return func() error { return run(on) }, run(off)
}

// DataDirectory is where PostgreSQL has its files, "" on SQLite.
func DataDirectory(ctx context.Context, s *Store) (dir string, err error) {
	if s.postgres {
		err = s.read.QueryRowContext(ctx, "SHOW data_directory").Scan(&dir)
	}
	return dir, err
}

// VisitPlans are how SQLite goes through an account's visits, and how it counts them.
func VisitPlans(t *testing.T, s *Store, account id.Account, q fleet.VisitQuery) (walk, count string) {
	t.Helper()
	explained(t, s, func(x *tx) (err error) {
		w := x.visitsOf(account, q, "")
		if walk, err = x.explain(newestVisits(w, q.Limit+1), w.args); err != nil {
			return err
		}
		count, err = x.explain("SELECT 1 FROM visits v"+w.String(), w.args)
		return err
	})
	return walk, count
}

// AuditPlan is how SQLite goes through an account's audit entries.
func AuditPlan(t *testing.T, s *Store, account id.Account, q fleet.AuditQuery) (plan string) {
	t.Helper()
	explained(t, s, func(x *tx) (err error) {
		l := auditList{tx: x, of: []id.Account{account}, q: q, whole: entries{1, math.MaxInt64}, auditBounds: wideAudit}
		if err := l.begin(); err != nil {
			return err
		}
		query, args := l.walk("seq, "+auditColumns, finding{}, l.whole, 51)
		plan, err = x.explain(query, args)
		return err
	})
	return plan
}
