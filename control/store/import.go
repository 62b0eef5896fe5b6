package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// ErrNotEmpty means that the database has rows of its own already.
var ErrNotEmpty = errors.New("the database is not empty")

// Imported is one table's part of an import.
type Imported struct {
	Table    string
	Rows     int
	Checksum string // SHA-256 of its rows, the same in both databases
}

// Import copies what from, an SQLite database, has into s, an empty PostgreSQL
// one, and reads it back. It is one transaction: all is there, or nothing. done
// is called after each table.
func (s *Store) Import(ctx context.Context, from *Store, done func(Imported)) error {
	if !s.postgres || from.postgres {
		return errors.New("import: need SQLite to read and PostgreSQL to write")
	}
	src, err := from.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return classified(err)
	}
	defer func() { _ = src.Rollback() }() // nothing was written
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return classified(err)
	}
	defer conn.Close()
	return conn.Raw(func(driver any) error {
		err := pgx.BeginFunc(ctx, driver.(*stdlib.Conn).Conn(), func(dst pgx.Tx) error {
			if _, err := dst.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
				return err
			}
			if err := claimEmpty(ctx, dst); err != nil {
				return err
			}
			for _, t := range tables {
				d, err := t.copy(ctx, src, dst)
				if err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				done(d)
			}
			return nil
		})
		return classified(err)
	})
}

// claimEmpty keeps a control that starts now from writing before the end.
func claimEmpty(ctx context.Context, dst pgx.Tx) error {
	for _, t := range tables {
		if _, err := dst.Exec(ctx, "LOCK TABLE "+t.name+" IN EXCLUSIVE MODE"); err != nil {
			return err
		}
		var any bool
		if err := dst.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+t.name+")").Scan(&any); err != nil {
			return err
		}
		if any {
			return fmt.Errorf("%w: %s has rows", ErrNotEmpty, t.name)
		}
	}
	return nil
}

func (t table) copy(ctx context.Context, src *sql.Tx, dst pgx.Tx) (Imported, error) {
	var none Imported
	columns, err := columnsOf(ctx, dst, t.name)
	if err != nil {
		return none, err
	}
	query := "SELECT " + strings.Join(columns, ", ") + " FROM " + t.name + " ORDER BY " + t.key
	rows, err := src.QueryContext(ctx, query) //nolint:rowserrcheck // copied.Err has it
	if err != nil {
		return none, err
	}
	defer rows.Close()
	in := &copied{rows: rows, width: len(columns), sum: sha256.New()}
	n, err := dst.CopyFrom(ctx, pgx.Identifier{t.name}, columns, in)
	if err := errors.Join(err, in.Err()); err != nil {
		return none, err
	}
	again, sum, err := readBack(ctx, dst, query)
	if err != nil {
		return none, err
	}
	d := Imported{Table: t.name, Rows: int(n), Checksum: hex.EncodeToString(in.sum.Sum(nil))}
	if again != in.n || int(n) != in.n || sum != d.Checksum {
		return none, fmt.Errorf("what was written (%d rows, %s) is not what was read (%d rows, %s)", again, sum, in.n, d.Checksum)
	}
	if t.identity {
		_, err = dst.Exec(ctx, fmt.Sprintf("SELECT setval(pg_get_serial_sequence('%s', '%s'), COALESCE(MAX(%s), 0) + 1, false) FROM %s", t.name, t.key, t.key, t.name))
	}
	return d, err
}

func columnsOf(ctx context.Context, dst pgx.Tx, name string) ([]string, error) {
	rows, err := dst.Query(ctx, "SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position", name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// copied hands SQLite's rows to PostgreSQL's COPY and adds them up on the way.
type copied struct {
	rows  *sql.Rows
	width int
	sum   hash.Hash
	n     int
	err   error
}

func (c *copied) Next() bool { return c.err == nil && c.rows.Next() }
func (c *copied) Err() error { return errors.Join(c.err, c.rows.Err()) }

func (c *copied) Values() ([]any, error) {
	values, into := make([]any, c.width), make([]any, c.width)
	for i := range values {
		into[i] = &values[i]
	}
	if c.err = c.rows.Scan(into...); c.err != nil {
		return nil, c.err
	}
	c.n++
	add(c.sum, values)
	return values, nil
}

func readBack(ctx context.Context, dst pgx.Tx, query string) (n int, sum string, err error) {
	rows, err := dst.Query(ctx, query)
	if err != nil {
		return 0, "", err
	}
	defer rows.Close()
	h := sha256.New()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return 0, "", err
		}
		n++
		add(h, values)
	}
	return n, hex.EncodeToString(h.Sum(nil)), rows.Err()
}

// add writes a row so that no two rows look alike: each value by its kind and
// length.
func add(h hash.Hash, values []any) {
	for _, v := range values {
		switch x := v.(type) {
		case nil:
			fmt.Fprint(h, "n;")
		case string:
			fmt.Fprintf(h, "s%d:%s;", len(x), x)
		case []byte:
			fmt.Fprintf(h, "b%d:%s;", len(x), x)
		default: // whole numbers of any width
			fmt.Fprintf(h, "i%d;", x)
		}
	}
	fmt.Fprint(h, "\n")
}
