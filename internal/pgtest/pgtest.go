// Package pgtest gives tests a real PostgreSQL: one server for each test
// binary, from Debian's package, on a Unix socket in a directory of its own,
// and an empty database for each test that asks for one. It is no place for
// SQL; the databases are the tests' to fill.
package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const startTime = 30 * time.Second

var (
	once    sync.Once
	server  *cluster
	failed  error
	counter atomic.Int64
)

// errMissing means that there is nothing to start.
var errMissing = errors.New("PostgreSQL's server is not installed; make test-deps does it (Debian: postgresql)")

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
	once.Do(func() { server, failed = start() })
	if errors.Is(failed, errMissing) && os.Getenv("CI") != "true" {
		t.Skip(failed)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	name := fmt.Sprintf("t%d", counter.Add(1))
	if err := server.run("createdb", "-h", server.dir, "-U", "trunkline", name); err != nil {
		t.Fatal(err)
	}
	return "postgres:///" + name + "?" + url.Values{"host": {server.dir}, "user": {"trunkline"}}.Encode()
}

// cluster is a running server.
type cluster struct {
	bin, dir string
	cred     *syscall.Credential // nil: whoever runs the tests
	cmd      *exec.Cmd
	log      bytes.Buffer
}

func start() (*cluster, error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(bins) == 0 {
		return nil, errMissing
	}
	c := &cluster{bin: filepath.Dir(slices.Max(bins))}
	// The socket's path must be short: sockaddr_un has 108 bytes.
	if c.dir, err = os.MkdirTemp("/tmp", "pgtest"); err != nil {
		return nil, err
	}
	if err := c.disown(); err != nil {
		return nil, err
	}
	data := filepath.Join(c.dir, "data")
	if err := c.run("initdb", "-D", data, "-U", "trunkline", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8"); err != nil {
		return nil, err
	}
	c.cmd = c.command("postgres", "-D", data, "-k", c.dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_connections=200", "-c", "shared_buffers=64MB")
	c.cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT // its immediate end
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(startTime); ; {
		err := c.run("pg_isready", "-q", "-h", c.dir)
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

// disown gives the directory to another user if we are root, as whom
// PostgreSQL does not run.
func (c *cluster) disown() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	c.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return errors.Join(err1, err2, os.Chown(c.dir, int(uid), int(gid)))
}

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = c.dir, &syscall.SysProcAttr{Credential: c.cred}
	return cmd
}

func (c *cluster) run(name string, args ...string) error {
	if out, err := c.command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func (c *cluster) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGQUIT) // it is gone either way
	_ = c.cmd.Wait()
	_ = os.RemoveAll(c.dir)
}
