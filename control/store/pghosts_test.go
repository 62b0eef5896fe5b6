package store

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The first host is lost: one connection waits for it, those after it do not, and
// when it is back it is found.
func TestLostHostIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := true
		h := newHosts(func(ctx context.Context, _, addr string) (net.Conn, error) {
			if addr == "a:5432" && lost {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return &net.TCPConn{}, nil
		})
		dial := func(addr string) (took time.Duration, err error) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			began := time.Now()
			_, err = h.Dial(ctx, "tcp", addr)
			return time.Since(began), err
		}
		if took, err := dial("a:5432"); err == nil || took != 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if took, err := dial("a:5432"); !errors.Is(err, context.DeadlineExceeded) || took != 0 {
			t.Errorf("%v after %v, want at once that it did not answer", err, took)
		}
		if _, err := dial("b:5432"); err != nil {
			t.Errorf("the other host: %v", err)
		}
		lost = false
		time.Sleep(lostFor)
		if _, err := dial("a:5432"); err != nil {
			t.Errorf("it is back: %v", err)
		}
	})
}

func TestSeveralHosts(t *testing.T) {
	for url, want := range map[string]bool{
		"postgres://u@a/db":                               false,
		"postgres://u@a:5432,b:5432/db":                   true,
		"postgres://u@a/db?sslmode=prefer":                false,
		"postgres:///db?host=/tmp/x":                      false,
		"postgres://u@a:5432,a:5433/db?sslmode=verify-ca": true,
	} {
		c, err := pgconn.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := several(c); got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
}
