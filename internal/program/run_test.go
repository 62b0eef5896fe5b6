//go:build unix

package program_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline/internal/program"
)

func run(t *testing.T, timeout time.Duration, stdin, script string, args ...string) (program.Said, error) {
	t.Helper()
	c := program.Call{Argv: append([]string{"/bin/sh", "-c", script, "sh"}, args...), Stdin: []byte(stdin), Timeout: timeout, Stdout: 16}
	return c.Run(t.Context())
}

func TestRun(t *testing.T) {
	said, err := run(t, time.Minute, "typed\n", `read x; echo "out $x"; echo first >&2; printf 'last of %s' "$1" >&2`, "them")
	if err != nil || string(said.Stdout) != "out typed\n" || said.Last != "last of them" {
		t.Errorf("%q, %v", said, err)
	}
	var exit *exec.ExitError
	if said, err := run(t, time.Minute, "", "echo no >&2; exit 3"); !errors.As(err, &exit) || exit.ExitCode() != 3 || said.Last != "no" {
		t.Errorf("%q, %v", said, err)
	}
	// Who reads nothing is no error of the caller's.
	if _, err := run(t, time.Minute, strings.Repeat("x", 1<<20), "exit 0"); err != nil {
		t.Error(err)
	}
	c := program.Call{Argv: []string{filepath.Join(t.TempDir(), "none")}, Timeout: time.Minute}
	if _, err := c.Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// Whatever is said, little is kept of it.
func TestOutputIsBounded(t *testing.T) {
	said, err := run(t, time.Minute, "", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; echo >&2")
	if err != nil || len(said.Stdout) != 17 || said.Last != "" {
		t.Errorf("%d bytes, %d of the last line, %v", len(said.Stdout), len(said.Last), err)
	}
	for out, last := range map[string]string{
		``: "", `\n\n`: "", `a\nb\n\n  \n`: "b", `a\n b `: "b", `a\r\n`: "a", `a\n\000\377b`: "\x00\xffb",
	} {
		if said, err := run(t, time.Minute, "", `printf "$1" >&2`, out); err != nil || said.Last != last {
			t.Errorf("%q: %q, %v", out, said.Last, err)
		}
	}
}

// When its time is over a program ends, with what it has started.
func TestTimeEndsWhatWasStarted(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	began := time.Now()
	// The time is long enough for a shell to start two programs.
	_, err := run(t, 3*time.Second, "", `(sleep 300 & echo $! >>"$1"; wait) & sleep 300 & echo $! >>"$1"; echo waiting >&2; wait`, pids)
	if !errors.Is(err, program.ErrTime) || time.Since(began) > 30*time.Second {
		t.Fatalf("%v after %s", err, time.Since(began))
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	started := strings.Fields(string(b))
	if len(started) != 2 {
		t.Fatalf("%q were started", started)
	}
	for _, s := range started {
		pid, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		for late := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("process %d lives on", pid)
			}
		}
	}
}

// alive is false of a process that only its parent has not heard the end of.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

// What a program leaves behind, with its output open, holds nobody up.
func TestLeftBehind(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	began := time.Now()
	said, err := run(t, 5*time.Minute, "", `echo done >&2; sleep 300 & echo $! >"$1"`, pid)
	if err != nil || said.Last != "done" || time.Since(began) > time.Minute {
		t.Errorf("%q, %v after %s", said, err, time.Since(began))
	}
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		_ = syscall.Kill(n, syscall.SIGKILL) // ours, and of no use any more
	}
}
