package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// table is one that is moved between databases: in an order that foreign keys
// allow, each with what tells its rows apart.
type table struct {
	name, key string
	identity  bool // the key is counted up by the database
}

var tables = []table{
	{name: "accounts", key: "path"}, {name: "users", key: "id"}, {name: "sessions", key: "hash"},
	{name: "device_groups", key: "id"}, {name: "role_rights", key: "account, role, grp"}, {name: "api_tokens", key: "id"},
	{name: "sites", key: "id"}, {name: "devices", key: "id"}, {name: "device_events", key: "seq", identity: true},
	{name: "visits", key: "id"}, {name: "visit_traffic", key: "visit, relay"},
	{name: "signing_keys", key: "id"}, {name: "seal_keys", key: "id"}, {name: "peer_authorities", key: "id"}, {name: "revocations", key: "key"},
	{name: "audit", key: "seq", identity: true}, {name: "licences", key: "seq", identity: true},
	{name: "samples", key: "account, at"}, {name: "idempotency", key: "key"},
}

// openAsIs opens an SQLite database that exists and changes nothing in it.
func openAsIs(path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return openSQLite(path, 1, "mode=rw")
}

// ReadSQLite opens the database at path without bringing it to this program's
// schema: it must have that already.
func ReadSQLite(ctx context.Context, path string) (*Store, error) {
	db, err := openAsIs(path)
	if err != nil {
		return nil, err
	}
	current, target, err := versions(ctx, db)
	if err == nil && current != target {
		err = fmt.Errorf("the database has schema %d and this program %d: start control with it once", current, target)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	// Whoever begins by reading and goes on to write is refused at once, and
	// not made to wait, if another process writes meanwhile.
	write, err := openSQLite(path, 1, "mode=rw", "_txlock=immediate")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{write: write, read: db, places: roomy}, nil
}

// SQLite's result codes of a file that is damaged, or none of its own.
const (
	codeCorrupt = 11
	codeNotADB  = 26
)

func damaged(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == codeCorrupt || e.Code()&0xff == codeNotADB)
}

// intact has SQLite check every page and every index of the file at path.
func intact(ctx context.Context, path string) error {
	db, err := openAsIs(path)
	if err != nil {
		return err
	}
	defer db.Close()
	return checkPages(ctx, db)
}

func checkPages(ctx context.Context, db *sql.DB) error {
	var said string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&said); err != nil {
		return err
	}
	if said != "ok" {
		return fmt.Errorf("damaged: %s", said)
	}
	return nil
}

// syncDir makes renames in the directory of path last.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
