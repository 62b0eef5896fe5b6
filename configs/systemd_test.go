package configs_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"trunkline/control"
	"trunkline/relay"
)

// unit is a unit file: section, key, values in order.
type unit map[string]map[string][]string

func (u unit) one(t *testing.T, section, key string) string {
	t.Helper()
	v := u[section][key]
	if len(v) != 1 {
		t.Fatalf("[%s] %s: %q", section, key, v)
	}
	return v[0]
}

func readUnit(t *testing.T, path string) unit {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u, section := unit{}, ""
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		switch key, value, ok := strings.Cut(line, "="); {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = strings.Trim(line, "[]")
			u[section] = map[string][]string{}
		case ok && section != "":
			u[section][key] = append(u[section][key], value)
		default:
			t.Fatalf("%s:%d: %q", path, i+1, line)
		}
	}
	return u
}

func units(t *testing.T, f func(t *testing.T, path string, u unit)) {
	all, err := filepath.Glob("systemd/*.service")
	if err != nil || len(all) != 5 {
		t.Fatal(all, err)
	}
	for _, path := range all {
		t.Run(filepath.Base(path), func(t *testing.T) { f(t, path, readUnit(t, path)) })
	}
}

func TestUnits(t *testing.T) {
	units(t, func(t *testing.T, path string, u unit) {
		if user := u.one(t, "Service", "User"); user == "root" {
			t.Error("it runs as root")
		}
		if u.one(t, "Service", "Restart") == "" || u.one(t, "Unit", "StartLimitIntervalSec") != "0" {
			t.Error("it is given up one day")
		}
		if filepath.Base(path) == "nats.service" {
			if want := strings.Replace(u.one(t, "Service", "ExecStart"), " -c ", " -t -c ", 1); u.one(t, "Service", "ExecStartPre") != want {
				t.Errorf("it checks %s, and should %s", u.one(t, "Service", "ExecStartPre"), want)
			}
			return
		}
		if u.one(t, "Service", "Type") != "notify" || u.one(t, "Service", "WatchdogSec") == "" {
			t.Error("it is not watched")
		}
		if !strings.HasPrefix(u.one(t, "Service", "ExecStart"), "/usr/local/bin/trunkline") || !strings.Contains(u.one(t, "Service", "ExecStart"), " --config /etc/trunkline/") {
			t.Errorf("it starts %s", u.one(t, "Service", "ExecStart"))
		}
		if u.one(t, "Service", "ExecStart")+" --check" != u.one(t, "Service", "ExecStartPre") {
			t.Error("it checks something else than it starts")
		}
	})
}

// The manager must not cut what a drain lets go on, nor what is written at the end.
func TestUnitsWaitForTheDrain(t *testing.T) {
	units(t, func(t *testing.T, path string, u unit) {
		stop, err := time.ParseDuration(u.one(t, "Service", "TimeoutStopSec"))
		if err != nil {
			t.Fatal(err)
		}
		drain := relay.Default().Drain.Deadline
		need := map[string]time.Duration{
			"trunkline.service": drain + 90*time.Second, "trunkline-relay.service": drain + 30*time.Second, "trunkline-control.service": time.Minute,
		}
		if need := need[filepath.Base(path)]; stop < need {
			t.Errorf("it is ended after %s, and may take %s", stop, need)
		}
	})
}

// Who drains a relay wants it ended: it is not started again. Control never ends by
// itself.
func TestUnitsLeaveADrainedRelayEnded(t *testing.T) {
	units(t, func(t *testing.T, path string, u unit) {
		want := "always"
		if name := filepath.Base(path); name == "trunkline.service" || name == "trunkline-relay.service" {
			want = "on-failure"
		}
		if got := u.one(t, "Service", "Restart"); got != want {
			t.Errorf("it is started again %s, and should be %s", got, want)
		}
	})
}

// What the defaults write to is what the units let them write to.
func TestUnitsHaveTheDirectories(t *testing.T) {
	u := readUnit(t, "systemd/trunkline-control.service")
	if got := "/var/lib/" + u.one(t, "Service", "StateDirectory"); got != control.Default().Data {
		t.Errorf("%s, but data is %s", got, control.Default().Data)
	}
}

// systemd-analyze judges the units without an init that runs.
func TestUnitsByAnalyze(t *testing.T) {
	tool := program(t, "systemd-analyze")
	units(t, func(t *testing.T, path string, u unit) {
		// The programs are not installed where tests run.
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		text = regexp.MustCompile(`(?m)^(Exec(?:Start|StartPre)=)\S+`).ReplaceAll(text, []byte("${1}/bin/true"))
		copied := filepath.Join(dir, filepath.Base(path))
		write(t, copied, string(text))
		if out, err := exec.Command(tool, "verify", "--man=no", copied).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("verify: %v\n%s", err, out)
		}
		out, err := exec.Command(tool, "security", "--offline=true", "--no-pager", copied).CombinedOutput()
		m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
		if err != nil || m == nil {
			t.Skipf("systemd-analyze security, which has --offline since 250: %v: %.200s", err, out)
		}
		if score, err := strconv.ParseFloat(string(m[1]), 64); err != nil || score > 2 {
			t.Errorf("exposure %s of 10, more than 2", m[1])
		}
	})
}
