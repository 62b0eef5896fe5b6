package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"trunkline/internal/fault"
)

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

// rules are those of all files.
func rules(t *testing.T) []rule {
	t.Helper()
	names, err := filepath.Glob("rules/*.yml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	var out []rule
	for _, name := range names {
		var f ruleFile
		readYAML(t, name, &f)
		for _, g := range f.Groups {
			out = append(out, g.Rules...)
		}
	}
	return out
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// Every alert says what a night shift needs, and where the page about it is.
func TestAlerts(t *testing.T) {
	pages := map[string]bool{"README": true}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		pages[r.Alert] = true
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if !strings.HasSuffix(r.Annotations["summary"], ".") || !strings.HasSuffix(r.Annotations["description"], ".") {
			t.Errorf("%s: summary and description in whole sentences", r.Alert)
		}
		if got, want := r.Annotations["runbook_url"], docs+"/runbooks/"+r.Alert+".md"; got != want {
			t.Errorf("%s: runbook_url %s, want %s", r.Alert, got, want)
		}
		text, err := os.ReadFile("../docs/runbooks/" + r.Alert + ".md")
		if err != nil {
			t.Error(err)
			continue
		}
		at := 0
		for _, heading := range []string{"# " + r.Alert + "\n", "\n## What it means\n", "\n## What users notice\n", "\n## Look here\n", "\n## Do this\n", "\n## Wake\n"} {
			i := strings.Index(string(text)[at:], heading)
			if i < 0 {
				t.Errorf("%s.md: no %q where it belongs", r.Alert, strings.TrimSpace(heading))
				break
			}
			at += i
		}
	}
	found, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		if !pages[strings.TrimSuffix(filepath.Base(name), ".md")] {
			t.Errorf("%s: there is no such alert", name)
		}
	}
}

// What counts as failed is the same on a dashboard and in an alert, and is codes
// that there are.
func TestFailures(t *testing.T) {
	ratios := 0
	for _, r := range rules(t) {
		if strings.HasPrefix(r.Record, "job:trunkline_relay_edge_failed:") {
			if ratios++; !strings.Contains(r.Expr, `{code=~"`+failures+`"}`) {
				t.Errorf("%s is not of %s: %s", r.Record, failures, r.Expr)
			}
		}
	}
	if ratios != 2 {
		t.Errorf("%d ratios were found", ratios)
	}
	for code := range strings.SplitSeq(failures, "|") {
		is := regexp.MustCompile("^" + code + "$")
		if !slices.ContainsFunc(fault.Codes(), func(c fault.Code) bool { return is.MatchString(string(c)) }) {
			t.Errorf("nothing fails with %s", code)
		}
	}
}

// Every alert has a test that it fires, and one that it stays quiet.
func TestAlertsAreTested(t *testing.T) {
	var f struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, "rules/tests/alerts.yml", &f)
	fires, quiet := make(map[string]bool), make(map[string]bool)
	for _, group := range f.Tests {
		for _, c := range group.AlertRuleTest {
			if len(c.ExpAlerts) > 0 {
				fires[c.Alertname] = true
			} else {
				quiet[c.Alertname] = true
			}
		}
	}
	for _, r := range rules(t) {
		if r.Alert != "" && (!fires[r.Alert] || !quiet[r.Alert]) {
			t.Errorf("%s: tested that it fires: %v, that it stays quiet: %v", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
	}
}

func TestPromtool(t *testing.T) {
	promtool := program(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "rules/recording.yml", "rules/alerts.yml"},
		{"test", "rules", "rules/tests/alerts.yml"},
		{"check", "config", "prometheus.yml"},
	} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// program is one of the Debian package prometheus.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatalf("%s: make test-deps installs it", name)
	}
	t.Skipf("no %s here: make test-deps installs it", name)
	return ""
}
