package api_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"trunkline/control/api"
	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

func guide(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blocks are the fenced parts in one language.
func blocks(text, language string) []string {
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// The guide's commands do what it says, one after the other in one shell.
func TestGuidesCommands(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the guide's commands need %s: %v", tool, err)
		}
	}
	w := newRealWorld(t)
	script := "set -euo pipefail\n" + strings.Join(blocks(guide(t), "sh"), "\n")
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TRUNKLINE="+w.url, "EMAIL=anna@example.com", "PASSWORD="+password, "NO_PROXY=127.0.0.1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`"anna@example.com"`, `"audit:read"`, `"total": 0`, "Authentication code: ", "\ntrue\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	for _, name := range []string{"devices.xlsx", "audit.jsonl"} {
		if _, err := os.Stat(filepath.Join(cmd.Dir, name)); err != nil {
			t.Error(err)
		}
	}
	page := must(w.anna(t).Devices(t.Context(), controlapi.DeviceQuery{}))(t)
	if page.Total != 0 {
		t.Errorf("%d devices are left", page.Total)
	}
}

// Whatever else the guide names is there too.
func TestGuidesFacts(t *testing.T) {
	text := guide(t)
	paths := []string{}
	for _, s := range specs(t, newWorld(t)) {
		paths = append(paths, s.path)
	}
	for _, m := range regexp.MustCompile(`/api/v1(/[a-z.]+)+`).FindAllString(text, -1) {
		if !slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p+"/", m+"/") }) {
			t.Errorf("%s is no path", m)
		}
	}
	for _, code := range regexp.MustCompile("`([a-z]+_[a-z_]+)`( \\(|;|,|\\.| says|, )").FindAllStringSubmatch(text, -1) {
		if !slices.Contains(fault.Codes(), fault.Code(code[1])) && code[1] != "retry_after" {
			t.Errorf("%s is no code", code[1])
		}
	}
	for _, s := range fleet.Scopes() {
		if topic, _, _ := strings.Cut(s, ":"); !strings.Contains(text, "`"+topic+"`") && topic != "audit" {
			t.Errorf("the guide does not know the scope %s", s)
		}
	}
	if l := api.DefaultLimits(); l.User != 6000 || !strings.Contains(text, "6000 a minute") {
		t.Errorf("the limit is %d", l.User)
	}
	for _, b := range blocks(text, "json") {
		var p fault.Problem
		d := json.NewDecoder(strings.NewReader(b))
		if d.DisallowUnknownFields(); d.Decode(&p) != nil || fault.Status(p.Code) != p.Status {
			t.Errorf("%s: %+v", b, p)
		}
	}
}
