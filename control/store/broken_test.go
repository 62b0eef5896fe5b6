package store_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"trunkline/control/fleet"
	"trunkline/control/store/storetest"
)

// A connection that the server ends in the middle of a transaction is a database
// that is away, whatever is asked on it next.
func TestBrokenConnectionIsUnavailable(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := openPostgres(t, url)
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	tries := 0
	err = s.View(t.Context(), func(tx fleet.Tx) error {
		tries++
		if _, err := tx.Root(); err != nil && !errors.Is(err, fleet.ErrNoRow) {
			t.Fatal(err)
		}
		if _, err := other.Exec(t.Context(), "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := tx.Root(); !errors.Is(err, fleet.ErrUnavailable) {
				t.Errorf("after the connection broke: %v", err)
			}
		}
		return nil
	})
	if !errors.Is(err, fleet.ErrUnavailable) {
		t.Errorf("the transaction ends with %v", err)
	}
	if tries != 1 {
		t.Errorf("%d tries", tries)
	}
}
