package testnet_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"trunkline/agent"
	"trunkline/agent/login"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// fossil runs a web server with a sign-in form that nobody here wrote: Debian's
// package of the same name.
func fossil(t *testing.T, password string) (origin string) {
	t.Helper()
	path := need(t, "fossil")
	dir := t.TempDir()
	repo := filepath.Join(dir, "repo.fossil")
	command := func(args ...string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), path, args...)
		c.Dir, c.Env = dir, append(os.Environ(), "HOME="+dir, "USER=admin")
		return c
	}
	for _, args := range [][]string{{"init", "-A", "admin", repo}, {"user", "password", "admin", password, "-R", repo}} {
		if out, err := command(args...).CombinedOutput(); err != nil {
			t.Fatalf("fossil %s: %v: %s", args[0], err, out)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	server := command("server", "--localhost", "--port", strconv.Itoa(port), repo)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	origin = "http://127.0.0.1:" + strconv.Itoa(port)
	testnet.Eventually(t, "fossil serves", func() error {
		resp, err := http.Get(origin + "/login")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	return origin
}

// A form that was declared for a real portal, without code of its own.
func TestFormOfAnotherMake(t *testing.T) {
	const password = "a password; with & and é"
	origin := fossil(t, password)
	w := testnet.Start(t, nil)
	enter := func(serial, password string) (*visitor.Visitor, error) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p := w.Activate(id.Serial(serial), origin)
		p.Configure(func(c *agent.Config) {
			c.Portal.Login = login.Config{Adapter: login.Form, Form: login.FormConfig{
				Page: "/login", Action: "/login", User: "admin", PasswordFile: file, UserField: "u", PasswordField: "p", TokenField: "cs",
				Fields: map[string]string{"in": "Login"}, Start: "/setup",
				Success: login.Success{Status: []int{302}, Lacks: "Incorrect password"},
			}}
		})
		p.Run()
		p.AwaitStatus(controlapi.StatusConnected)
		sides(t, w, p, true, true)
		start, err := w.API.StartVisit(t.Context(), controlapi.VisitRequest{Device: p.Device, Method: passwordless})
		if err != nil {
			t.Fatal(err)
		}
		return visitor.Enter(t.Context(), w.TLS, w.Up.ConsoleURL(), start)
	}
	v, err := enter("3631A20C0042", password)
	if err != nil {
		t.Fatal(err)
	}
	defer v.CloseIdleConnections()
	// The administrator's page: others are sent to sign in.
	if page := fetch(t, v, "/setup"); !strings.Contains(page, "Logout") && !strings.Contains(page, "admin") || !strings.Contains(page, "Security-Audit") {
		t.Errorf("not the administrator's page: %.2000s", page)
	}
	stranger, err := visitor.New(w.TLS, v.Origin)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.CloseIdleConnections()
	if _, err := stranger.Fetch(t.Context(), "/setup"); err == nil {
		t.Error("a stranger is let in")
	}

	_, err = enter("3631A20C0043", "wrong")
	var s *visitor.StatusError
	if !errors.As(err, &s) || !strings.Contains(s.Body, string(fault.LoginFailed)) || !strings.Contains(s.Body, fmt.Sprint(http.StatusUnauthorized)) {
		t.Errorf("with a wrong password: %v", err)
	}
}
