package configs_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"trunkline/agent"
	"trunkline/cmd/trunkline/up"
	"trunkline/control"
	"trunkline/relay"
)

// docs/operations.md has each key of each file in one of its two tables, those
// in the first that a reload does put in force.
func TestEveryKeyIsLiveOrNeedsARestart(t *testing.T) {
	b, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "\n## Reload\n")
	first, second, ok2 := strings.Cut(text, "Every other key needs a restart")
	if !ok || !ok2 {
		t.Fatal("the tables are not where they were")
	}
	for _, f := range []struct {
		file string
		dflt any
		live []string
	}{
		{"relay.yaml", relay.Default(), append(relay.LiveKeys(), "log.level")},
		{"control.yaml", control.Default(), append(control.LiveKeys(), "log.level")},
		{"agent.yaml", agent.Default(), []string{"log.level"}},
	} {
		live, restart := row(t, first, f.file), row(t, second, f.file)
		slices.Sort(live)
		slices.Sort(f.live)
		if !slices.Equal(live, f.live) {
			t.Errorf("%s: the document says %v are live, the code %v", f.file, live, f.live)
		}
		used := make(map[string]bool)
		under := func(key string, of []string) bool {
			for _, k := range of {
				if key == k || strings.HasPrefix(key, k+".") {
					used[k] = true
					return true
				}
			}
			return false
		}
		keys(reflect.TypeOf(f.dflt), "", func(key string) {
			if l, r := under(key, live), under(key, restart); l == r {
				t.Errorf("%s: %s is live: %v, needs a restart: %v", f.file, key, l, r)
			}
		})
		for _, k := range append(live, restart...) {
			if !used[k] {
				t.Errorf("%s: there is no %s", f.file, k)
			}
		}
	}
	for _, k := range up.LiveKeys() {
		section, key, _ := strings.Cut(k, ".")
		if of := map[string][]string{"relay": relay.LiveKeys(), "control": control.LiveKeys()}[section]; !slices.Contains(of, key) {
			t.Errorf("up.yaml: %s is live", k)
		}
	}
}

// row is a file's keys in a table.
func row(t *testing.T, table, file string) (out []string) {
	t.Helper()
	m := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(file) + "` \\| (.*) \\|$").FindStringSubmatch(table)
	if m == nil {
		t.Fatalf("%s has no row", file)
	}
	for _, k := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[1], -1) {
		out = append(out, k[1])
	}
	return out
}
