package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// ErrInUse means that a running control has the database open.
var ErrInUse = errors.New("the database is in use by a control that runs")

// Backup writes one moment's copy of the SQLite database at from to the file
// to, which must not exist, with mode 0600, and checks the copy. Control may
// run meanwhile and does not wait for it.
func Backup(ctx context.Context, from, to string) (err error) {
	db, err := openAsIs(from)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: %w", to, fs.ErrExist)
	}
	part := to + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part) }() // after a success it is gone
	defer f.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return fmt.Errorf("back up %s: %w", from, err)
	}
	if err := intact(ctx, part); err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Link(part, to); err != nil { // unlike a rename it replaces nothing
		return err
	}
	return syncDir(to)
}

// Restore puts the backup into the place of the SQLite database at path while
// no control runs. What was there is kept beside it under the name it returns;
// "" if nothing was. said is told how far it is.
func Restore(ctx context.Context, backup, path string, now time.Time, said func(string)) (aside string, err error) {
	lock, err := Lock(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	f, err := os.Open(backup)
	if err != nil {
		return "", err
	}
	defer f.Close()
	part, err := Prepare(ctx, f, path, now, said)
	if err != nil {
		return "", fmt.Errorf("%s: %w", backup, err)
	}
	defer func() { _ = os.Remove(part) }() // after a success it is gone
	return Install(ctx, part, path, now)
}

// Prepare makes of a backup the database that is to be at path, beside it, and
// gives its name. Control may run meanwhile. The copy is checked, brought to
// this program's schema, and rid of what must not come back: sessions, visits
// that were going on and the keys that seal them. Everybody signs in again.
func Prepare(ctx context.Context, backup io.Reader, path string, now time.Time, said func(string)) (_ string, err error) {
	part := path + ".restoring"
	for _, side := range sides {
		if err := os.Remove(part + side); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	defer func() {
		if err != nil {
			for _, side := range sides {
				_ = os.Remove(part + side) // the next one removes it otherwise
			}
		}
	}()
	if err := copyInto(part, backup, said); err != nil {
		return "", err
	}
	said("checking every page")
	if err := usable(ctx, part); err != nil {
		return "", err
	}
	if err := renew(ctx, part, now); err != nil {
		return "", err
	}
	return part, nil
}

// sides are what SQLite keeps beside a database, which comes first.
var sides = []string{"", "-wal", "-shm"}

// renew makes of the copy at path one that control can begin with.
func renew(ctx context.Context, path string, now time.Time) error {
	db, err := openSQLite(path, 1, "_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := migrate(ctx, db, goose.DialectSQLite3, "migrations/sqlite", zap.NewNop()); err != nil {
		return fmt.Errorf("bring it to this program's schema: %w", err)
	}
	for _, statement := range []string{
		"DELETE FROM sessions", "DELETE FROM seal_keys", "DELETE FROM idempotency",
		fmt.Sprintf("UPDATE visits SET ended = %d, end_code = '%s' WHERE ended = 0", micros(now), fault.Restored),
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode); err != nil || mode != "delete" { // one file
		return errors.Join(fmt.Errorf("journal mode %q", mode), err)
	}
	return errors.Join(db.Close(), syncFile(path))
}

// Install puts the database part into the place of the one at path, which
// nobody may have open. At every moment one of the two is there, whole. What was
// there is kept under the name it returns; "" if nothing was.
func Install(ctx context.Context, part, path string, now time.Time) (aside string, err error) {
	if err := settle(ctx, path); err != nil {
		return "", err
	}
	aside = path + ".before-" + now.UTC().Format("20060102T150405.000Z")
	switch err := os.Link(path, aside); {
	case errors.Is(err, fs.ErrNotExist):
		aside = ""
	case err != nil:
		return "", err
	}
	// Only a damaged database has these still. They are not the new one's.
	for _, side := range sides[1:] {
		if err := os.Rename(path+side, aside+side); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return aside, err
		}
	}
	if err := syncDir(path); err != nil {
		return aside, err
	}
	if err := os.Rename(part, path); err != nil {
		return aside, err
	}
	return aside, syncDir(path)
}

// PutBack undoes Install: the database at aside is at path again, and nobody
// has the one there open.
func PutBack(aside, path string) error {
	if aside == "" {
		return errors.New("there was none before")
	}
	for _, side := range sides[1:] { // SQLite would replay the other one's
		if err := os.Remove(path + side); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(aside, path); err != nil {
		return err
	}
	return syncDir(path)
}

// Lock makes the data directory dir the caller's alone, until it closes the
// file or dies; ErrInUse if a control that runs has it.
func Lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

const lockFile = "control.lock"

// usable is for a file that is whole and that this program can run with.
func usable(ctx context.Context, path string) error {
	if err := intact(ctx, path); err != nil {
		return err
	}
	db, err := openAsIs(path)
	if err != nil {
		return err
	}
	defer db.Close()
	current, target, err := versions(ctx, db)
	switch {
	case err != nil:
		return err
	case current == 0:
		return errors.New("not a database of Trunkline's")
	case current > target:
		return fmt.Errorf("schema %d, and this program knows %d: it was made by a newer program", current, target)
	}
	return nil
}

// settle makes the database one whole file. It needs it for itself alone,
// which is how we know that no control runs. One that is damaged is beyond
// that, and the very reason to restore.
func settle(ctx context.Context, path string) error {
	db, err := openAsIs(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "PRAGMA busy_timeout = 200"); err != nil && !damaged(err) {
		return err
	}
	var mode string
	err = db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode)
	switch {
	case damaged(err):
		return nil
	case err != nil && errors.Is(classified(err), fleet.ErrUnavailable), err == nil && mode != "delete":
		return ErrInUse
	}
	return err
}

// copyInto writes a new file, mode 0600, and tells how far it is.
func copyInto(to string, from io.Reader, said func(string)) error {
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for done := int64(0); ; {
		n, err := io.CopyN(out, from, copyStep)
		done += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
		said(fmt.Sprintf("copied %d MiB", done>>20))
	}
	return errors.Join(out.Sync(), out.Close())
}

const copyStep = 64 << 20

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
