package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"trunkline/control/fleet"
)

// ErrInUse means that a running control has the database open.
var ErrInUse = errors.New("the database is in use: stop control first")

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

// Restore puts the backup into the place of the SQLite database at path. What
// was there is kept beside it under the name it returns; "" if nothing was.
func Restore(ctx context.Context, backup, path string, now time.Time) (aside string, err error) {
	if err := usable(ctx, backup); err != nil {
		return "", fmt.Errorf("%s: %w", backup, err)
	}
	part := path + ".restoring"
	if err := copyFile(backup, part); err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(part) }() // after a success it is gone
	if err := settle(ctx, path); err != nil {
		return "", err
	}
	aside = path + ".before-" + now.UTC().Format("20060102T150405Z")
	for _, side := range []string{"", "-wal", "-shm"} {
		err := os.Rename(path+side, aside+side)
		if errors.Is(err, fs.ErrNotExist) {
			if side == "" {
				aside = ""
				break
			}
			continue
		}
		if err != nil {
			return "", err
		}
	}
	if err := os.Rename(part, path); err != nil {
		return aside, err
	}
	return aside, syncDir(path)
}

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

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
