package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/id"
)

func TestFilesAreOursAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "with space?#%.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := openSQLite(t, path)
	if err := s.Tx(t.Context(), func(tx fleet.Tx) error { return tx.DropSession("x") }); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v: want the database and its log", files, err)
	}
	for _, f := range files {
		if i, err := f.Info(); err != nil || i.Mode().Perm() != 0o600 || !strings.HasPrefix(f.Name(), "with space?#%.db") {
			t.Errorf("%v, %v", i, err)
		}
	}
}

func TestReopenKeepsWhatWasThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	a := fleet.Account{ID: id.NewAccount(), Name: "P", Created: at(0)}
	s, err := store.OpenSQLite(t.Context(), path, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Tx(t.Context(), func(tx fleet.Tx) error { return tx.AddAccount(a) }), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openSQLite(t, path)
	if err := s.View(t.Context(), func(tx fleet.Tx) error { _, err := tx.Account(a.ID); return err }); err != nil {
		t.Error(err)
	}
}

func TestSchemaOfANewerProgramIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	openSQLite(t, path)
	raw(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	_, err := store.OpenSQLite(t.Context(), path, zap.NewNop())
	if err == nil || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("error %v", err)
	}
}

func TestGarbageIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := store.OpenSQLite(t.Context(), path, zap.NewNop()); err == nil {
		t.Error("opened", s.Close())
	}
	if _, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "no", "dir", "a.db"), zap.NewNop()); err == nil {
		t.Error("opened in a directory that is not there")
	}
}

// A full disk is for the rules to tell from a bug: it passes, and the
// database works again afterwards.
func TestFullDiskIsUnavailable(t *testing.T) {
	s := storetest.SQLite(t, zap.NewNop())
	store.LimitPages(t, s, 1)
	big := fleet.AuditEntry{Detail: strings.Repeat("x", 1<<20), Action: "x"}
	add := func(tx fleet.Tx) error { return tx.AddAudit(big) }
	if err := s.Tx(t.Context(), add); !errors.Is(err, fleet.ErrUnavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
	store.LimitPages(t, s, 1<<20)
	if err := s.Tx(t.Context(), add); err != nil {
		t.Error(err)
	}
}

// Another process that holds the write lock makes us wait, and then give up.
func TestLockedDatabaseIsUnavailable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := openSQLite(t, path)
	store.Impatient(t, s)
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tx(t.Context(), func(fleet.Tx) error { return nil }); !errors.Is(err, fleet.ErrUnavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
	if err := s.View(t.Context(), func(tx fleet.Tx) error { _, err := tx.CountSites(); return err }); err != nil {
		t.Errorf("a reader waits for a writer: %v", err)
	}
	lock.Rollback()
	if err := s.Tx(t.Context(), func(fleet.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
}

func raw(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// What is committed is in the file itself when the database is closed, also if
// something was ended on the way: who copies the file then has all.
func TestCloseLeavesOneFile(t *testing.T) {
	for range 8 {
		dir := t.TempDir()
		s, err := store.OpenSQLite(t.Context(), filepath.Join(dir, "a.db"), zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			ctx, cancel := context.WithCancel(t.Context())
			_ = s.View(ctx, func(tx fleet.Tx) error { _, err := tx.Account("x"); cancel(); return err })
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
	}
}
