package cmd_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// However far a restore is when it, or the control that does it, is killed:
// there is the old database or the new one, whole, and the next start has it.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, backup := filepath.Join(dir, "data"), filepath.Join(dir, "backup.db")
	must := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("trunkline", args...).CombinedOutput(); err != nil {
			t.Fatalf("trunkline %q: %v\n%s", args, err, out)
		}
	}
	stop := runUp(t, data)
	must("admin", "seed", "--data", data, "--devices", "200")
	must("admin", "backup", "--data", data, backup)
	stop(os.Interrupt)
	whole := func() {
		t.Helper()
		must("admin", "verify", "--data", data)
	}

	began := time.Now()
	must("admin", "restore", "--data", data, backup)
	takes := time.Since(began)
	const tries = 4
	for i := range tries {
		kill(t, exec.Command("trunkline", "admin", "restore", "--data", data, backup), takes*time.Duration(i)/tries)
		whole()
	}
	for i := range tries / 2 {
		stop := runUp(t, data)
		restore := exec.Command("trunkline", "admin", "restore", "--data", data, backup)
		if err := restore.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(takes * time.Duration(i) / (tries / 2)) // anywhere in it
		stop(os.Kill)
		_ = restore.Wait() // it is told that control is gone, or did it in time
		whole()
	}
	must("admin", "restore", "--data", data, backup)
	if left, _ := filepath.Glob(filepath.Join(data, "*.restoring*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func kill(t *testing.T, cmd *exec.Cmd, after time.Duration) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after) // anywhere in it
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed, or done before
}

// runUp runs an installation and returns when it is ready.
func runUp(t *testing.T, data string) (stop func(os.Signal)) {
	t.Helper()
	return runInstallation(t, data, "").stop
}

// installation is one that runs and is ready.
type installation struct {
	stop func(os.Signal)
	port int // the public one
}

// runInstallation runs one with further settings of control's, "key: value, ".
func runInstallation(t *testing.T, data, control string) installation {
	t.Helper()
	ports := [3]int{freePort(), freePort(), freePort()}
	config := filepath.Join(t.TempDir(), "up.yaml")
	text := fmt.Sprintf("data: %s\nlisten: 127.0.0.1:%d\ncontrol: {%sadmin: \"127.0.0.1:%d\"}\nrelay: {admin: \"127.0.0.1:%d\"}\nlog: {level: warn}\n",
		data, ports[0], control, ports[1], ports[2])
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command("trunkline", "up", "--config", config)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop := func(s os.Signal) {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(s)
			_ = cmd.Wait()
		}
	}
	t.Cleanup(func() { stop(os.Kill) })
	for late := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[1]))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return installation{stop: stop, port: ports[0]}
			}
		}
		if time.Now().After(late) {
			stop(os.Kill)
			t.Fatalf("not ready: %v\n%s", err, &said)
		}
	}
}
