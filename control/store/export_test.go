package store

import (
	"fmt"
	"testing"
)

var (
	Cursor     = cursor
	ReadCursor = readCursor
	SortName   = sortName
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
