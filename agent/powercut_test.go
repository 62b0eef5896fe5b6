package agent_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/agent/manage"
)

func openAgent(t *testing.T, data string) *agent.Agent {
	t.Helper()
	c := agent.Default()
	c.Data = data
	a, err := agent.New(c, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestWriterToBeKilled is no test of its own: it saves one setting after the
// other, and says each when it is saved, until it is killed.
func TestWriterToBeKilled(t *testing.T) {
	data := os.Getenv("AGENT_WRITER")
	if data == "" {
		t.Skip("started by TestKilledWhileItSaves")
	}
	a := openAgent(t, data)
	for n := 0; ; n++ {
		minutes := 5 + n%100
		if err := a.Change(t.Context(), manage.Change{AutoLogout: &minutes}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("saved", minutes)
	}
}

// However it is killed, what was said to be saved is, or what came after it.
func TestKilledWhileItSaves(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	data := t.TempDir()
	agent.StoreForTest(t, data, identity())
	for range 8 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriterToBeKilled$", "-test.v")
		cmd.Env = append(os.Environ(), "AGENT_WRITER="+data)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		saved, left := 0, 1+rand.IntN(20)
		for lines.Scan() {
			if s, ok := strings.CutPrefix(lines.Text(), "saved "); ok {
				saved, _ = strconv.Atoi(s)
				if left--; left == 0 {
					_ = cmd.Process.Kill() // and read what was said before
				}
			}
		}
		_ = cmd.Wait() // killed
		a := openAgent(t, data)
		v, err := a.View(t.Context())
		if next := 5 + (saved-5+1)%100; err != nil || v.AutoLogout != saved && v.AutoLogout != next || v.Status.State != agent.Connecting {
			t.Errorf("saved %d, read %d, state %s (%s), %v", saved, v.AutoLogout, v.Status.State, v.Status.Reason, err)
		}
		a.Close()
	}
}

// Cut anywhere, a file is damaged and not something else: what was switched off
// stays off, an identity is whole or none, and a password is not set anew.
func TestFilesCutAnywhere(t *testing.T) {
	data := t.TempDir()
	agent.StoreForTest(t, data, identity())
	a := openAgent(t, data)
	if err := a.Change(t.Context(), switched(false)); err != nil {
		t.Fatal(err)
	}
	a.Close()
	cut := func(name string, check func(s agent.Status) bool) {
		path := filepath.Join(data, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(strings.TrimSpace(string(whole))); n += 7 {
			if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			a := openAgent(t, data)
			if s := a.Status(); !check(s) || !strings.Contains(s.Reason, name) {
				t.Errorf("%s cut at %d: %s (%s)", name, n, s.State, s.Reason)
			}
			a.Close()
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cut("settings.json", func(s agent.Status) bool { return s.State == agent.RemoteAccessOff })
	cut("identity.json", func(s agent.Status) bool { return s.State == agent.NotActivated })
	cut("device.key", func(s agent.Status) bool { return s.State == agent.NotActivated })
	if err := open(data); err == nil || !strings.Contains(err.Error(), "switched off") {
		t.Errorf("whole again: %v", err)
	}
}

// The service as it is run: the page's address is known, the line's file is
// private and gone afterwards, and a page that is asked while it starts answers.
func TestService(t *testing.T) {
	c := agent.Default()
	c.Data, c.Page.Listen = t.TempDir(), "127.0.0.1:0"
	s, err := agent.NewService(c, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, data: c.Data}
	w.runService(s)
	began := time.Now()
	desk, running, closeDesk, err := agent.Open(t.Context(), c, zap.NewNop())
	if err != nil || !running || time.Since(began) > 30*time.Second {
		t.Fatalf("running %v, %v", running, err)
	}
	v, err := desk.View(t.Context())
	if err != nil || v.Page == "" || v.Page != s.PageURL() || v.Status.State != agent.NotActivated {
		t.Errorf("%+v, %v", v, err)
	}
	if err := closeDesk(); err != nil {
		t.Error(err)
	}
	w.stop()
	if _, err := os.Stat(filepath.Join(c.Data, "line.json")); !os.IsNotExist(err) {
		t.Errorf("the line is still there: %v", err)
	}
	// A second page at the same address is refused before anything is begun.
	c.Page.Listen = strings.TrimSuffix(strings.TrimPrefix(v.Page, "http://"), "/")
	if s, err = agent.NewService(c, zap.NewNop(), prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	c.Data = t.TempDir()
	if _, err := agent.NewService(c, zap.NewNop(), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "page.listen") {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
