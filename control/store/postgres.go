package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	neturl "net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"go.uber.org/zap"

	"trunkline/control/fleet"
)

const (
	pgConns = 16
	// Transactions are serialisable, so some fail for the sake of others and
	// are run again. After the first try they go one at a time within the
	// process: what fails then does so for another replica's sake only.
	pgTries = 40
)

// PasswordEnv holds the database's password, which has no place in a URL in a
// configuration file.
const PasswordEnv = "TRUNKLINE_DATABASE_PASSWORD"

// CheckURL says what is wrong with a URL before anything is opened. A password
// in it would end up where configuration files do.
func CheckURL(url string) error {
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return errors.New("need postgres://user@host/name")
	}
	u, err := neturl.Parse(url)
	if err != nil {
		return errors.New("not a URL")
	}
	if _, has := u.User.Password(); has {
		return fmt.Errorf("leave the password out and set it in the environment: %s", PasswordEnv)
	}
	if _, err := pgx.ParseConfig(url); err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}

// OpenPostgres opens the database at url (postgres://user@host/name, RFC 3986,
// or libpq's key=value form) and brings it to this program's schema; several
// processes that do so at once take turns.
func OpenPostgres(ctx context.Context, url string, log *zap.Logger) (*Store, error) {
	conf, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if p := os.Getenv(PasswordEnv); p != "" {
		conf.Password = p
	}
	conf.ConnectTimeout = 5 * time.Second
	if several(&conf.Config) {
		conf.DialFunc = newHosts(conf.DialFunc).Dial
	}
	for name, value := range map[string]string{
		"application_name":                    "trunkline",
		"statement_timeout":                   "20000", // ms
		"lock_timeout":                        "10000",
		"idle_in_transaction_session_timeout": "60000",
		"jit":                                 "off", // a page's statements end long before what compiling them takes
	} {
		if _, said := conf.RuntimeParams[name]; !said {
			conf.RuntimeParams[name] = value
		}
	}
	db := stdlib.OpenDB(*conf)
	db.SetMaxOpenConns(pgConns)
	db.SetMaxIdleConns(pgConns / 2)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour) // a failover's new address is found in time
	s := &Store{write: db, read: db, postgres: true, ranges: roomyRanges}
	if err := s.migratePostgres(ctx, log); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate database: %w", classified(err)), db.Close())
	}
	return s, nil
}

func (s *Store) migratePostgres(ctx context.Context, log *zap.Logger) error {
	// Another replica may be at it: it gets its time.
	l, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
	if err != nil {
		return err
	}
	return migrate(ctx, s.write, goose.DialectPostgres, "migrations/postgres", log, goose.WithSessionLocker(l))
}

// runPostgres runs fn in a serialisable transaction, again where PostgreSQL
// asks for it (its documentation, section 13.2.3).
func (s *Store) runPostgres(ctx context.Context, fn func(fleet.Tx) error) error {
	opts := &sql.TxOptions{Isolation: sql.LevelSerializable}
	err := run(ctx, s, s.write, opts, fn)
	if !retriable(err) {
		return err
	}
	s.again.Lock()
	defer s.again.Unlock()
	for try := 1; try < pgTries && retriable(err); try++ {
		pause := time.NewTimer(rand.N(time.Duration(try) * 2 * time.Millisecond))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
		s.retries.Add(1)
		err = run(ctx, s, s.write, opts, fn)
	}
	if retriable(err) {
		return fmt.Errorf("%w: %w", fleet.ErrUnavailable, err)
	}
	return err
}

// SQLSTATEs (PostgreSQL's documentation, appendix A).
const (
	pgSerialization = "40001"
	pgDeadlock      = "40P01"
	pgUnique        = "23505"
)

func retriable(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == pgSerialization || e.Code == pgDeadlock)
}

// classifiedPostgres wraps err so that errors.Is finds fleet's sentinels.
func classifiedPostgres(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var connect *pgconn.ConnectError
		var network net.Error // of a connection that broke
		if errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err) ||
			(errors.As(err, &network) || pgconn.Timeout(err)) && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%w: %w", fleet.ErrUnavailable, err)
		}
		return err
	}
	switch {
	case e.Code == pgUnique:
		return fmt.Errorf("%w: %w", fleet.ErrTaken, err)
	case e.Code == "25006", // the primary became a standby
		e.Code == "55P03", e.Code == "57014": // a lock or a statement took too long
		return fmt.Errorf("%w: %w", fleet.ErrUnavailable, err)
	}
	for _, class := range []string{"08", "53", "57P", "58"} { // connection, resources, shutdown, I/O
		if strings.HasPrefix(e.Code, class) {
			return fmt.Errorf("%w: %w", fleet.ErrUnavailable, err)
		}
	}
	return err
}
