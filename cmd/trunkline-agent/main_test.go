package main

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/zap"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trunkline-agent": func() { os.Exit(run()) }})
}

// The scripts are the operator's view: exit codes, standard error, and nothing
// on standard output when something is wrong. $SERVER is a control that takes
// the password "correct horse", $CA its certificate.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"waitfor": waitFor,
			"mode":    mode,
		},
	})
}

func setup(env *testscript.Env) error {
	s := httptest.NewUnstartedServer(http.HandlerFunc(activate))
	s.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	s.StartTLS()
	env.Defer(s.Close)
	ca := filepath.Join(env.WorkDir, "ca.pem")
	env.Setenv("SERVER", s.URL)
	env.Setenv("CA", ca)
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return os.WriteFile(ca, b, 0o600)
}

func activate(w http.ResponseWriter, r *http.Request) {
	var q controlapi.ActivationRequest
	switch err := json.NewDecoder(r.Body).Decode(&q); {
	case err != nil || r.URL.Path != "/api/v1/activations":
		fault.ProblemOf(fault.New(fault.Unavailable, "Not now."), "").Write(w)
	case q.Password != "correct horse" && q.Code != "K7QM-4XWZ-9T2P-HD3V":
		fault.ProblemOf(fault.New(fault.Rejected, "The e-mail address or the password is wrong."), "").Write(w)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(controlapi.Grant{
			Device: "dev_0123456789abcdef", Site: "pbx-1", Name: "Front desk", Account: "ACME",
			Pass: "the-pass", LifetimeSeconds: 3600, Relays: []string{"127.0.0.1:1"},
		})
	}
}

// exits N command args...: the command's exit code is N.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// waitfor [regexp] file: until it is there, and has a match.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: waitfor [regexp] file")
	}
	file := args[len(args)-1]
	re, err := regexp.Compile(strings.Join(args[:len(args)-1], ""))
	ts.Check(err)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(ts.MkAbs(file)); err == nil && re.Match(b) {
			return
		}
	}
	ts.Fatalf("%s is not there, or has no match of %q", file, re)
}

// mode octal file...
func mode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, f := range args[1:] {
		info, err := os.Stat(ts.MkAbs(f))
		ts.Check(err)
		if info.Mode().Perm() != os.FileMode(want) {
			ts.Fatalf("%s: mode %04o, want %04o", f, info.Mode().Perm(), want)
		}
	}
}
