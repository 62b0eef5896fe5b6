// Package storetest gives tests empty databases with today's schema. They are
// copies of one that is migrated once in each test binary: migrating one for
// each test would be most of many a test's time.
package storetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/zap"

	"trunkline/control/store"
	"trunkline/internal/pgtest"
)

// migrated is an SQLite database's file.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, store.FileName)
	s, err := store.OpenSQLite(context.Background(), path, zap.NewNop())
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil { // brings all into the one file
		return nil, err
	}
	return os.ReadFile(path)
})

// File makes an SQLite database at path.
func File(t testing.TB, path string) {
	t.Helper()
	b, err := migrated()
	if err := errors.Join(err, os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// SQLite opens a database of t's own until t ends.
func SQLite(t testing.TB, log *zap.Logger) *store.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), store.FileName)
	File(t, path)
	s, err := store.OpenSQLite(t.Context(), path, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

var template = pgtest.Template{Fill: func(url string) error {
	s, err := store.OpenPostgres(context.Background(), url, zap.NewNop())
	if err != nil {
		return err
	}
	return s.Close()
}}

// Postgres is the URL of a database on PostgreSQL. See pgtest.URL.
func Postgres(t testing.TB) string {
	t.Helper()
	return template.URL(t)
}
