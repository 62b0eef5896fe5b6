// Package pgserver prepares a real PostgreSQL for tests, from Debian's package:
// a data directory of its own, and the command lines for it. Whoever uses it
// starts and ends the server.
package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// User owns the databases, and needs no password.
const User = "trunkline"

// ErrMissing means that there is nothing to start.
var ErrMissing = errors.New("PostgreSQL's server is not installed; make test-deps does it (Debian: postgresql)")

// Server is a data directory and the programs for it.
type Server struct {
	Dir string // the data and, short enough for sockaddr_un's 108 bytes, the Unix socket
	// Cred is who runs the programs; nil: whoever runs the tests.
	Cred *syscall.Credential

	bin string
}

// Init makes the data directory in dir, which exists and is empty. The programs
// run as user postgres if we are root, as whom PostgreSQL does not run.
func Init(dir string) (*Server, error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(bins) == 0 {
		return nil, ErrMissing
	}
	s, err := newServer(dir, filepath.Dir(slices.Max(bins)))
	if err != nil {
		return nil, err
	}
	return s, s.Run("initdb", "-D", s.data(), "-U", User, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8")
}

func newServer(dir, bin string) (*Server, error) {
	s := &Server{Dir: dir, bin: bin}
	return s, s.disown()
}

// Copy makes a standby's data directory in dir, of s, which runs. Where it follows
// s is said on the standby's command line (primary_conninfo).
func (s *Server) Copy(dir string) (*Server, error) {
	c, err := newServer(dir, s.bin)
	if err != nil {
		return nil, err
	}
	return c, c.Run("pg_basebackup", "-D", c.data(), "-h", s.Dir, "-U", User, "-R", "-X", "stream", "-c", "fast", "--no-sync")
}

// Promote ends a standby's following: it takes what is written.
func (s *Server) Promote() error { return s.Run("pg_ctl", "promote", "-w", "-D", s.data()) }

// Do runs statements, each in a transaction of its own.
func (s *Server) Do(statements ...string) error {
	args := []string{"psql", "-h", s.Dir, "-U", User, "-d", "postgres", "-q", "-v", "ON_ERROR_STOP=1"}
	for _, x := range statements {
		args = append(args, "-c", x)
	}
	return s.Run(args...)
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

func (s *Server) disown() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	s.Cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return errors.Join(err1, err2, os.Chown(s.Dir, int(uid), int(gid)))
}

// Postgres is the server's command line. address is where it listens beside its
// socket, "" for nowhere. Nothing is synced to the disk: a test's data need not
// survive the machine.
func (s *Server) Postgres(address string) []string {
	return []string{
		filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.Dir, "-c", "listen_addresses=" + address, "-c", "fsync=off",
		"-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_connections=200", "-c", "shared_buffers=64MB",
	}
}

// Command is one of PostgreSQL's other programs.
func (s *Server) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	if !filepath.IsAbs(args[0]) {
		cmd = exec.Command(filepath.Join(s.bin, args[0]), args[1:]...)
	}
	cmd.Dir, cmd.SysProcAttr = s.Dir, &syscall.SysProcAttr{Credential: s.Cred}
	return cmd
}

// Run runs it to its end.
func (s *Server) Run(args ...string) error {
	if out, err := s.Command(args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, out)
	}
	return nil
}

// Ready reports that the server cannot be asked on its socket.
func (s *Server) Ready() error { return s.Run("pg_isready", "-q", "-h", s.Dir) }

// CreateDatabase makes an empty one.
func (s *Server) CreateDatabase(name string) error {
	return s.Run("createdb", "-h", s.Dir, "-U", User, name)
}

// CopyDatabase makes one that has what from has, to which nobody is connected.
func (s *Server) CopyDatabase(from, name string) error {
	return s.Run("createdb", "-h", s.Dir, "-U", User, "-T", from, name)
}

// TrustNetwork lets in whoever connects from there, a prefix as 198.18.0.0/16, to
// follow s too.
func (s *Server) TrustNetwork(prefix string) error {
	f, err := os.OpenFile(filepath.Join(s.data(), "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "host all %[1]s %[2]s trust\nhost replication %[1]s %[2]s trust\n", User, prefix)
	return errors.Join(err, f.Close())
}
