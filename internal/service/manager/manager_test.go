package manager_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"trunkline/internal/service/manager"
)

const patience = time.Minute

// systemd is the manager's end of the socket.
type systemd struct {
	*testing.T
	conn *net.UnixConn
}

func start(t *testing.T) systemd {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("WATCHDOG_PID", "")
	return systemd{t, c}
}

// hears waits for a message that matches, past others.
func (s systemd) hears(want string) (skipped []string) {
	s.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.Fatal(err)
	}
	for b := make([]byte, 4096); ; {
		n, err := s.conn.Read(b)
		if err != nil {
			s.Fatalf("waiting for %q: %v; heard %q", want, err, skipped)
		}
		said := string(b[:n])
		if regexp.MustCompile(`^` + want + `$`).MatchString(said) {
			return skipped
		}
		skipped = append(skipped, said)
	}
}

// attend runs d until the test ends, or the funcs are called.
func attend(t *testing.T, d manager.Daemon) (stop, end context.CancelFunc) {
	t.Helper()
	if d.Log == nil {
		d.Log = zap.NewNop()
	}
	ctx, stop := context.WithCancel(context.Background())
	life, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Attend(ctx, life) }()
	t.Cleanup(func() {
		stop()
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return stop, end
}

func fine(context.Context) error { return nil }

func TestALife(t *testing.T) {
	s := start(t)
	reloads := 0
	stop, _ := attend(t, manager.Daemon{
		Ready: func() error { return errors.New("no keys\nyet") }, Alive: fine, Reload: func() { reloads++ },
	})
	s.hears("READY=1\nSTATUS=not ready: no keys; yet")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.hears(`RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+\nSTATUS=.*`)
	s.hears("READY=1\nSTATUS=not ready: no keys; yet")
	if reloads != 1 {
		t.Errorf("reloaded %d times", reloads)
	}
	stop()
	s.hears("STOPPING=1\nSTATUS=.*")
}

func TestStatusFollowsReadiness(t *testing.T) {
	s := start(t)
	var ready atomic.Bool
	attend(t, manager.Daemon{Alive: fine, Ready: func() error {
		if !ready.Load() {
			return errors.New("not yet")
		}
		return nil
	}})
	s.hears("READY=1\nSTATUS=not ready: not yet")
	ready.Store(true)
	s.hears("STATUS=ready")
}

// The watchdog is fed by a daemon that looked and found itself alive, also
// while it stops, and not before.
func TestWatchdog(t *testing.T) {
	s := start(t)
	t.Setenv("WATCHDOG_USEC", "100000")
	core, logs := observer.New(zap.ErrorLevel)
	looks := 0
	stop, _ := attend(t, manager.Daemon{
		Log: zap.New(core), Ready: func() error { return nil },
		Alive: func(ctx context.Context) error {
			if looks++; looks > 2 {
				return nil
			}
			<-ctx.Done() // as a check of what hangs
			return ctx.Err()
		},
	})
	if early := s.hears("WATCHDOG=1"); len(early) != 1 || !strings.HasPrefix(early[0], "READY=1") {
		t.Errorf("before it: %q", early)
	}
	if n := logs.Len(); n != 2 {
		t.Errorf("it was fed when %d of 2 looks had failed", n)
	}
	stop()
	s.hears("STOPPING=1\nSTATUS=.*")
	s.hears("WATCHDOG=1")
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "100000")
	looked := make(chan struct{}, 1)
	_, end := attend(t, manager.Daemon{Alive: fine, Ready: func() error { looked <- struct{}{}; return nil }})
	<-looked // it goes on without a manager
	end()
	t.Setenv("NOTIFY_SOCKET", "nonsense")
	if err := (manager.Daemon{}).Attend(t.Context(), t.Context()); err == nil {
		t.Error("a socket that is none is no error")
	}
}
