package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/control/store"
)

// Whoever restores the wrong backup restores the right one at once: what the
// first one put aside stays.
func TestRestoreTwiceInASecond(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, store.FileName), filepath.Join(dir, "backup.db")
	s, err := store.OpenSQLite(t.Context(), path, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Backup(t.Context(), path, backup); err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	now := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		aside, err := store.Restore(t.Context(), backup, path, now.Add(time.Duration(i)*time.Millisecond), func(string) {})
		if err != nil || aside == "" || kept[aside] {
			t.Fatalf("restore %d: %q, %v", i, aside, err)
		}
		kept[aside] = true
	}
}
