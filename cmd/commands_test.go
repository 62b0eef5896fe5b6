package cmd_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for what must happen.
const patience = 30 * time.Second

type command = func(ts *testscript.TestScript, neg bool, args []string)

func commands() map[string]command {
	return map[string]command{
		"exits": exits, "start": start, "enter": enter, "term": term, "died": died, "get": get,
		"mode": mode, "leaks": leaks, "sql": execSQL, "occupy": occupy, "fill": fill, "damage": damage, "waitfor": waitFor, "which": which,
	}
}

// processes are a script's background programs.
type processes map[string]*background

type background struct {
	cmd   *exec.Cmd
	done  chan error
	ended bool // done has been read
	stdin io.WriteCloser
}

type runningKey struct{}

func setup(e *testscript.Env) error {
	e.Values[runningKey{}] = processes{}
	e.Setenv("GORACE", os.Getenv("GORACE"))
	for i := range 6 {
		e.Setenv(fmt.Sprintf("PORT%d", i+1), strconv.Itoa(freePort()))
	}
	return nil
}

// lastPort was given away. Ports are below those that the kernel gives to
// whoever asks for any, so that none of these gets them in between.
var lastPort atomic.Int64

func freePort() int {
	for {
		port := 20_000 + int(lastPort.Add(1)+int64(os.Getpid())*97)%12_000
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			ln.Close()
			return port
		}
	}
}

func want(ts *testscript.TestScript, neg bool, args []string, least int, usage string) {
	if neg || len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "exits CODE PROGRAM ARGS...")
	expect(ts, args[1], ts.Exec(args[1], args[2:]...), args[0])
}

func expect(ts *testscript.TestScript, name string, err error, code string) {
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode() // -1: a signal killed it
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != code {
		ts.Fatalf("%s: exit code %d, want %s", name, got, code)
	}
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "start NAME PROGRAM ARGS...")
	name := args[0]
	path, err := lookPath(ts, args[1])
	ts.Check(err)
	stdout, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer stderr.Close()
	b := &background{cmd: exec.Command(path, args[2:]...), done: make(chan error, 1)}
	b.cmd.Dir, b.cmd.Stdout, b.cmd.Stderr = ts.MkAbs("."), stdout, stderr
	b.cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"), "HOME="+ts.Getenv("HOME"), "TMPDIR="+ts.Getenv("TMPDIR"))
	b.stdin, err = b.cmd.StdinPipe()
	ts.Check(err)
	ts.Check(b.cmd.Start())
	go func() { b.done <- b.cmd.Wait() }()
	ts.Value(runningKey{}).(processes)[name] = b
	ts.Defer(func() {
		if !b.ended { // the script failed, or leaves it at that
			b.cmd.Process.Kill()
			<-b.done
		}
	})
}

// enter is the key, typed to a program.
func enter(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "enter NAME")
	_, err := io.WriteString(find(ts, args[0]).stdin, "\n")
	ts.Check(err)
}

// lookPath is exec.LookPath in the script's PATH, where the programs are.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not in PATH", name)
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

func term(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "term NAME [CODE]")
	b := find(ts, args[0])
	ts.Check(b.cmd.Process.Signal(syscall.SIGTERM))
	code := "0"
	if len(args) > 1 {
		code = args[1]
	}
	await(ts, b, args[0], code)
}

func died(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "died NAME CODE")
	await(ts, find(ts, args[0]), args[0], args[1])
}

func find(ts *testscript.TestScript, name string) *background {
	b := ts.Value(runningKey{}).(processes)[name]
	if b == nil {
		ts.Fatalf("%s was not started", name)
	}
	return b
}

func await(ts *testscript.TestScript, b *background, name, code string) {
	select {
	case err := <-b.done:
		b.ended = true
		ts.Logf("[%s]\n%s", name, ts.ReadFile(name+".err"))
		expect(ts, name, err, code)
	case <-time.After(patience):
		ts.Fatalf("%s does not stop; it said\n%s", name, ts.ReadFile(name+".err"))
	}
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "get STATUS URL")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		status, body, err := fetch(ctx, args[1])
		if err == nil && strconv.Itoa(status) == args[0] {
			_, err = io.Copy(ts.Stdout(), bytes.NewReader(body))
			ts.Check(err)
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			ts.Fatalf("get %s: want %s, have %d %s %v", args[1], args[0], status, body, err)
		}
	}
}

func fetch(ctx context.Context, url string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "mode OCTAL FILE")
	st, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", st.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

func leaks(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] leaks SECRETFILE FILE...")
	}
	secret := strings.TrimSpace(ts.ReadFile(args[0]))
	if len(secret) < 8 {
		ts.Fatalf("%s holds no secret: %q", args[0], secret)
	}
	found := false
	for _, file := range args[1:] {
		if strings.Contains(ts.ReadFile(file), secret) {
			found = true
			if neg {
				ts.Fatalf("%s has the secret of %s in it", file, args[0])
			}
		}
	}
	if !found && !neg {
		ts.Fatalf("the secret of %s is nowhere", args[0])
	}
}

func execSQL(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "sql DATABASE STATEMENT")
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0])+"?mode=rw")
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec(args[1])
	ts.Check(err)
}

func occupy(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "occupy VARIABLE")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { ln.Close() })
	ts.Setenv(args[0], ln.Addr().String())
}

func fill(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "fill FILE...")
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(os.Expand(ts.ReadFile(file), ts.Getenv)), 0o600))
	}
}

// damage writes over a file from its second page on.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "damage FILE")
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	if len(b) <= 4096 {
		ts.Fatalf("%s is too short", args[0])
	}
	for i := 4096; i < len(b); i++ {
		b[i] = 0xA5
	}
	ts.Check(os.WriteFile(path, b, 0o600))
}

func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "waitfor REGEXP FILE")
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(patience); !pattern.MatchString(ts.ReadFile(args[1])); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("%s has no %s in it:\n%s", args[1], args[0], ts.ReadFile(args[1]))
		}
	}
}

func which(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "which VARIABLE PROGRAM")
	path, err := lookPath(ts, args[1])
	ts.Check(err)
	ts.Setenv(args[0], path)
}
