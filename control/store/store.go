// Package store keeps the fleet in SQL. It is no place for rules: it answers
// what it is asked, and refuses what the schema refuses. fleet owns the
// interface, this package the schema, the statements and the connections.
//
// The statements are written so that SQLite and PostgreSQL read them alike:
// numbered placeholders, ON CONFLICT, times as integers. What a database has
// to pass is in contract_test.go and list_test.go, run on each of the
// databases in world_test.go.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"go.uber.org/zap"
	"modernc.org/sqlite"

	"trunkline/control/fleet"
)

// FileName is what the database's file is called in control's data directory.
const FileName = "trunkline.db"

//go:embed migrations
var migrations embed.FS

// Store implements fleet.Store.
type Store struct {
	write *sql.DB // one connection: SQLite has one writer, and waiting for it here beats SQLITE_BUSY
	read  *sql.DB

	postgres bool
	places   numbering
	ranges   sizing     // on PostgreSQL
	again    sync.Mutex // transactions that are run again take turns
	retries  atomic.Int64
}

// OpenSQLite opens the database at path, makes it if need be, with mode 0600
// because it holds keys, and brings it to this program's schema.
//
// The writer syncs every commit (synchronous=FULL). With NORMAL a power cut
// could take back an activation whose answer the PBX has, or bring a revoked
// device back; the writer commits some hundred times a second at most, and
// presence, the bulk, is written in batches.
func OpenSQLite(ctx context.Context, path string, log *zap.Logger) (*Store, error) {
	if err := private(path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	write, err := openSQLite(path, 1, "_txlock=immediate", "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)", "_pragma=journal_size_limit(67108864)")
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	read, err := openSQLite(path, max(4, runtime.GOMAXPROCS(0)), "_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), write.Close())
	}
	s := &Store{write: write, read: read, places: roomy}
	if err := migrate(ctx, write, goose.DialectSQLite3, "migrations/sqlite", log); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate database: %w", classified(err)), s.Close())
	}
	return s, nil
}

// private makes sure that the file is there and nobody else's to read. SQLite
// gives its side files the same mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

func openSQLite(path string, conns int, params ...string) (*sql.DB, error) {
	params = append([]string{"_pragma=busy_timeout(5000)", "_pragma=foreign_keys(1)"}, params...)
	u := url.URL{Path: path}
	db, err := sql.Open("sqlite", "file:"+u.EscapedPath()+"?"+strings.Join(params, "&"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, dir string, log *zap.Logger, more ...goose.ProviderOption) error {
	p, err := provider(db, dialect, dir, more...)
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("the database has schema %d and this program knows %d: it was made by a newer program", current, target)
	}
	results, err := p.Up(ctx)
	for _, r := range results {
		log.Info("database migrated", zap.String("part", "store"), zap.Int64("schema", r.Source.Version), zap.Int64("dur_ms", r.Duration.Milliseconds()))
	}
	return err
}

func provider(db *sql.DB, dialect goose.Dialect, dir string, more ...goose.ProviderOption) (*goose.Provider, error) {
	sub, err := fs.Sub(migrations, dir)
	if err != nil {
		return nil, err
	}
	more = append(more, goose.WithDisableGlobalRegistry(true))
	if dialect == goose.DialectSQLite3 {
		more = append(more, goose.WithGoMigrations(
			goose.NewGoMigration(8, nil, nil), // it filled the index of searches that 10 makes anew
			goose.NewGoMigration(11, &goose.GoFunc{RunTx: indexAll}, nil),
		))
	}
	return goose.NewProvider(dialect, db, sub, more...)
}

// versions are the schema of the SQLite database, 0 if it has none, and the newest
// that this program knows.
func versions(ctx context.Context, db *sql.DB) (current, target int64, err error) {
	var n int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'goose_db_version'").Scan(&n); err != nil {
		return 0, 0, err
	}
	p, err := provider(db, goose.DialectSQLite3, "migrations/sqlite")
	if err != nil || n == 0 { // goose would make its table
		return 0, 0, err
	}
	return p.GetVersions(ctx)
}

// Close waits for what runs.
func (s *Store) Close() error {
	if s.postgres {
		return s.write.Close()
	}
	// What a context has ended is rolled back by a goroutine of package sql, and its
	// connection would be closed after these, with nothing checkpointed.
	for end := time.Now().Add(leaving); s.read.Stats().InUse+s.write.Stats().InUse > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	// The writer last: its close checkpoints the log, which readers hold up.
	return errors.Join(s.read.Close(), s.write.Close())
}

// leaving is how long Close waits for who still reads or writes.
const leaving = time.Second

// Tx implements fleet.Store. On SQLite it never runs fn twice.
func (s *Store) Tx(ctx context.Context, fn func(fleet.Tx) error) error {
	if s.postgres {
		return s.runPostgres(ctx, fn)
	}
	return run(ctx, s, s.write, nil, fn)
}

// View implements fleet.Store.
func (s *Store) View(ctx context.Context, fn func(fleet.Tx) error) error {
	if s.postgres {
		return run(ctx, s, s.read, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, fn)
	}
	return run(ctx, s, s.read, nil, fn)
}

func run(ctx context.Context, s *Store, db *sql.DB, opts *sql.TxOptions, fn func(fleet.Tx) error) error {
	t, err := db.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin: %w", classified(err))
	}
	defer func() { _ = t.Rollback() }() // after a commit it does nothing
	if err := fn(&tx{ctx: ctx, sql: t, postgres: s.postgres, numbering: s.places}); err != nil {
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit: %w", classified(err))
	}
	return nil
}

// SQLite's result codes that tell something to fleet (sqlite.org/rescode.html).
const (
	codeBusy       = 5
	codeLocked     = 6
	codeReadonly   = 8
	codeIOErr      = 10
	codeFull       = 13
	codeCantOpen   = 14
	codePrimaryKey = 1555
	codeUnique     = 2067
)

// classified wraps err so that errors.Is finds fleet's sentinels.
func classified(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return fleet.ErrNoRow
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return classifiedPostgres(err)
	}
	switch e.Code() {
	case codeUnique, codePrimaryKey:
		return fmt.Errorf("%w: %w", fleet.ErrTaken, err)
	}
	switch e.Code() & 0xff { // the primary code
	case codeBusy, codeLocked, codeReadonly, codeIOErr, codeFull, codeCantOpen:
		return fmt.Errorf("%w: %w", fleet.ErrUnavailable, err)
	}
	return err
}
