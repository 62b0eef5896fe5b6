package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"trunkline/control/fleet"
)

// tx implements fleet.Tx. It holds the context of the one call that it lives
// for, so that the rules need not hand it on to every statement.
type tx struct {
	ctx      context.Context
	sql      *sql.Tx
	postgres bool
	numbering
}

func (t *tx) exec(query string, args ...any) (int, error) {
	r, err := t.sql.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, classified(err)
	}
	n, err := r.RowsAffected()
	return int(n), classified(err)
}

// unique runs a statement that may meet a unique value that is taken, after
// which the transaction can go on: PostgreSQL needs a savepoint for that.
func (t *tx) unique(query string, args ...any) (err error) {
	if !t.postgres {
		return t.change(query, args...)
	}
	if _, err := t.sql.ExecContext(t.ctx, "SAVEPOINT taken"); err != nil {
		return classified(err)
	}
	err = t.change(query, args...)
	end := "RELEASE SAVEPOINT taken"
	if errors.Is(err, fleet.ErrTaken) {
		end = "ROLLBACK TO SAVEPOINT taken"
	} else if err != nil && !errors.Is(err, fleet.ErrNoRow) {
		return err // the transaction is lost
	}
	if _, failed := t.sql.ExecContext(t.ctx, end); failed != nil {
		return classified(failed)
	}
	return err
}

// change is exec that must hit a row.
func (t *tx) change(query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		return fleet.ErrNoRow
	}
	return err
}

func (t *tx) insert(query string, args ...any) error {
	_, err := t.exec(query, args...)
	return err
}

func (t *tx) count(query string, args ...any) (int, error) {
	var n int
	err := t.sql.QueryRowContext(t.ctx, query, args...).Scan(&n)
	return n, classified(err)
}

type scanner interface{ Scan(dest ...any) error }

// one reads a row, or errs with fleet.ErrNoRow.
func one[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	v, err := scan(t.sql.QueryRowContext(t.ctx, query, args...))
	if err != nil {
		var zero T
		return zero, classified(err)
	}
	return v, nil
}

func all[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := t.sql.QueryContext(t.ctx, query, args...)
	if err != nil {
		return nil, classified(err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, classified(err)
		}
		out = append(out, v)
	}
	return out, classified(rows.Err())
}

// micros is how a time is stored.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// optional is how a unique value is stored that may be missing: as NULL, of
// which there can be many.
func optional[T ~string](s T) sql.NullString {
	return sql.NullString{String: string(s), Valid: s != ""}
}

// stamp scans a stored time.
type stamp struct{ to *time.Time }

func (s stamp) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("time: a %T", v)
	}
	*s.to = time.Time{}
	if n != 0 {
		*s.to = time.UnixMicro(n).UTC()
	}
	return nil
}

// flag scans a stored bool.
type flag struct{ to *bool }

func (f flag) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("flag: a %T", v)
	}
	*f.to = n != 0
	return nil
}

// where collects conditions; in each, ? stands for the next argument.
type where struct {
	parts []string
	args  []any
	scan  bool // a search that looks into every row it comes by
}

func (w *where) and(cond string, args ...any) {
	for _, a := range args {
		w.args = append(w.args, a)
		cond = strings.Replace(cond, "?", fmt.Sprintf("$%d", len(w.args)), 1)
	}
	w.parts = append(w.parts, cond)
}

func (w *where) String() string { return " WHERE " + strings.Join(w.parts, " AND ") }

// containing matches column, which is lower case, with what a person typed.
func (w *where) containing(column, typed string) {
	if typed == "" {
		return
	}
	w.and(column+` LIKE ? ESCAPE '\'`, like(strings.ToLower(typed)))
}

// A cursor is the sort key of a page's last row, in JSON and base64: opaque to
// callers, but no secret.

func cursor(key ...any) string {
	var b bytes.Buffer
	j := json.NewEncoder(&b)
	j.SetEscapeHTML(false) // which makes six characters of one
	if err := j.Encode(key); err != nil {
		panic("BUG: cursor of what JSON cannot hold: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(bytes.TrimSpace(b.Bytes()))
}

const maxCursor = 1024 // as the API and the console have it: a name may have 100 characters of four bytes

// readCursor fills key, or errs with fleet.ErrBadCursor.
func readCursor(s string, key ...any) error {
	if len(s) > maxCursor {
		return fleet.ErrBadCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || bytes.Contains(b, []byte(`\u0000`)) { // PostgreSQL takes no NUL in a text
		return fleet.ErrBadCursor
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) != len(key) {
		return fleet.ErrBadCursor
	}
	for i, p := range parts {
		if string(p) == "null" || json.Unmarshal(p, key[i]) != nil {
			return fleet.ErrBadCursor
		}
	}
	return nil
}

// page cuts the row that was read beyond the limit.
func page[T any](items []T, limit, total int, key func(T) string) fleet.Page[T] {
	p := fleet.Page[T]{Items: items, Total: total}
	if len(items) > limit {
		p.Items = items[:limit]
		p.Next = key(items[limit-1])
	}
	return p
}
