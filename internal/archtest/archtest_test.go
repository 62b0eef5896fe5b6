// Package archtest holds the import rules. It parses the sources itself: a test
// that asked the go command would be cached when they change.
package archtest_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "trunkline/"

// only says who may import what from outside; the reason is for whoever trips.
var only = []struct {
	imported string   // a path or, with a slash at the end, a tree
	by       []string // packages, or with a slash at the end trees, of ours
	reason   string
}{
	{"github.com/hashicorp/yamux", nil, "it is what our own multiplexer is held against, in tests"},
	{"github.com/libp2p/go-yamux/", nil, "it is what our own multiplexer is held against, in tests"},
	{"github.com/nats-io/", []string{"internal/bus"}, "the bus is one door, so that it can be changed"},
	{"database/sql", []string{"control/store"}, "SQL is the store's"},
	{"modernc.org/sqlite", []string{"control/store"}, "SQL is the store's"},
	{"github.com/jackc/pgx/", []string{"control/store"}, "SQL is the store's"},
	{"github.com/pressly/goose/", []string{"control/store"}, "SQL is the store's"},
	{"github.com/xuri/excelize/", []string{"control/export"}, "spreadsheets are made in one place, and not in an agent"},
	{"github.com/valyala/fasthttp", []string{"relay/edge", "agent"}, "only the data path trades net/http for speed"},
	{"go.opentelemetry.io/", []string{"internal/trace"}, "spans go out by one door, and not from an agent"},
	{"log", nil, "logs are zap's, injected"},
}

// siblings are the imports between parts of one plane that are allowed.
var siblings = map[string][]string{
	"control/api":     {"control/fleet", "control/export"},
	"control/console": {"control/fleet", "control/export"},
	"control/export":  {"control/fleet"},
	"control/store":   {"control/fleet"},
	"control/fleet":   {"control/license", "control/fleet/standby"},
	"agent/page":      {"agent/manage"},
	"agent/local":     {"agent/manage"},

	"control/store/storetest": {"control/store"}, // for tests
}

var planes = []string{"relay", "control", "agent"}

type source struct {
	pkg, file string
	imports   []string
	test      bool
}

func TestImportRules(t *testing.T) {
	all := sources(t)
	if len(all) < 50 {
		t.Fatalf("found %d sources: the walk is broken", len(all))
	}
	for _, s := range all {
		for _, imp := range s.imports {
			if why := forbidden(s, imp); why != "" {
				t.Errorf("%s imports %s: %s", s.file, imp, why)
			}
		}
	}
}

// The agent goes onto the PBX: it must stay small and must not carry the
// other planes, the bus or SQL, not even through somebody else.
func TestAgentStaysSmall(t *testing.T) {
	imports := make(map[string][]string)
	for _, s := range sources(t) {
		if !s.test {
			imports[s.pkg] = append(imports[s.pkg], s.imports...)
		}
	}
	seen := make(map[string]bool)
	var walk func(pkg, via string)
	walk = func(pkg, via string) {
		if seen[pkg] {
			return
		}
		seen[pkg] = true
		for _, bad := range []string{"relay", "control", "internal/bus", "internal/trace"} {
			if in(pkg, bad) || in(pkg, bad+"/") {
				t.Errorf("trunkline-agent carries %s, through %s", pkg, via)
			}
		}
		for _, imp := range imports[pkg] {
			if ours, ok := strings.CutPrefix(imp, module); ok {
				walk(ours, via+" > "+ours)
			}
		}
	}
	walk("cmd/trunkline-agent", "main")
	if !seen["internal/tunnel"] {
		t.Error("the walk did not reach internal/tunnel: it is broken")
	}
}

func forbidden(s source, imp string) string {
	for _, r := range only {
		if in(imp, r.imported) && !slices.ContainsFunc(r.by, func(by string) bool { return in(s.pkg, by) }) && !s.test {
			return r.reason
		}
	}
	ours, ok := strings.CutPrefix(imp, module)
	if !ok {
		return ""
	}
	from, to := plane(s.pkg), plane(ours)
	switch {
	case to == "":
		return ""
	case from == "" && in(s.pkg, "internal/") && !in(s.pkg, "internal/testnet"):
		return "internal packages know no plane"
	case from != "" && from != to && !s.test:
		return "planes never import each other"
	case from == to && s.pkg != from && ours != s.pkg && !slices.Contains(siblings[s.pkg], ours) && !s.test:
		return "parts of a plane do not import each other; the plane's own file joins them"
	}
	return ""
}

func plane(pkg string) string {
	for _, p := range planes {
		if pkg == p || in(pkg, p+"/") {
			return p
		}
	}
	return ""
}

// in reports whether pkg is rule, or in the tree that rule with its slash names.
func in(pkg, rule string) bool {
	return pkg == strings.TrimSuffix(rule, "/") || strings.HasSuffix(rule, "/") && strings.HasPrefix(pkg, rule)
}

func sources(t *testing.T) []source {
	t.Helper()
	root := "../.."
	var out []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "data") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		s := source{pkg: filepath.ToSlash(filepath.Dir(rel)), file: rel, test: strings.HasSuffix(name, "_test.go")}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
