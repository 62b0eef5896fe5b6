// Package pgtest gives tests a real PostgreSQL: one server for each test
// binary, from Debian's package, on a Unix socket in a directory of its own,
// and an empty database for each test that asks for one. It is no place for
// SQL; the databases are the tests' to fill.
package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	neturl "net/url"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"trunkline/internal/pgserver"
)

const startTime = 30 * time.Second

var (
	once    sync.Once
	server  *cluster
	failed  error
	counter atomic.Int64
)

// Main runs a package's tests and stops the server that they started.
func Main(m *testing.M) int {
	code := m.Run()
	if server != nil {
		server.stop()
	}
	return code
}

// URL is that of a new, empty database. The package's TestMain must call Main.
// Where PostgreSQL is not installed the test is skipped, but not under CI.
func URL(t testing.TB) string {
	t.Helper()
	running(t)
	name := nextName()
	if err := server.CreateDatabase(name); err != nil {
		t.Fatal(err)
	}
	return url(name)
}

// running starts the server, if none runs.
func running(t testing.TB) {
	t.Helper()
	once.Do(func() { server, failed = start() })
	if errors.Is(failed, pgserver.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(failed)
	}
	if failed != nil {
		t.Fatal(failed)
	}
}

func nextName() string { return fmt.Sprintf("t%d", counter.Add(1)) }

func url(database string) string {
	return "postgres:///" + database + "?" + neturl.Values{"host": {server.Dir}, "user": {pgserver.User}}.Encode()
}

// cluster is a running server.
type cluster struct {
	*pgserver.Server
	cmd *exec.Cmd
	log bytes.Buffer
}

func start() (*cluster, error) {
	// The socket's path must be short: sockaddr_un has 108 bytes.
	dir, err := os.MkdirTemp("/tmp", "pgtest")
	if err != nil {
		return nil, err
	}
	c := new(cluster)
	if c.Server, err = pgserver.Init(dir); err != nil {
		return nil, err
	}
	c.cmd = c.Command(c.Postgres("")...)
	c.cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT // its immediate end
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(startTime); ; {
		err := c.Ready()
		if err == nil {
			return c, nil
		}
		if time.Now().After(deadline) {
			c.stop()
			return nil, fmt.Errorf("start PostgreSQL: %w\n%s", err, c.log.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *cluster) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGQUIT) // it is gone either way
	_ = c.cmd.Wait()
	_ = os.RemoveAll(c.Dir)
}
