package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	agent "trunkline/cmd/trunkline-agent/cli"
	loadtest "trunkline/cmd/trunkline-loadtest/cli"
	trunkline "trunkline/cmd/trunkline/cli"
)

// documents reads Markdown files by their paths from the repository's root.
func documents(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %d files", pattern, err, len(paths))
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all[strings.TrimPrefix(path, "../")] = string(b)
		}
	}
	return all
}

var (
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
	span    = regexp.MustCompile("`([^`]+)`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// Every link from one document to another file leads there.
func TestLinks(t *testing.T) {
	t.Parallel()
	docs, seen := documents(t, "README.md", "docs/*.md", "docs/adr/*.md", "internal/tunnel/PROTOCOL.md"), 0
	for path, text := range docs {
		text = span.ReplaceAllString(fence.ReplaceAllString(text, ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			file, anchor, _ := strings.Cut(m[1], "#")
			to := filepath.Clean(path)
			if file != "" {
				to = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(filepath.Join("..", to)); err != nil {
				t.Errorf("%s: %s leads nowhere", path, m[1])
			} else if anchor != "" && !anchors(docs[to])[anchor] {
				t.Errorf("%s: %s has no such heading", path, m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d links were found", seen)
	}
}

// anchors are headings as GitHub names them in addresses.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

var (
	program = regexp.MustCompile("(?m)(?:^|[\\s(`])(?:bin/)?(trunkline(?:-agent|-loadtest)?)(?:[ \t]+([^\n|;<>#`]*))?(?:$|[|;<>#`\n])")
	flag    = regexp.MustCompile(`^--([a-z][a-z-]*)`)
)

// Every command and every flag of ours that a document names is there.
func TestCommandsAndFlags(t *testing.T) {
	t.Parallel()
	roots := map[string]*cobra.Command{"trunkline": trunkline.Root(), "trunkline-agent": agent.Root(), "trunkline-loadtest": loadtest.Root()}
	bench, err := os.ReadFile("../bench/main.go") // a program too, whose commands nobody can import
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for path, text := range documents(t, "README.md", "docs/*.md") {
		code := strings.Join(fence.FindAllString(text, -1), "\n")
		for _, m := range span.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			code += "\n" + m[1]
			if f := flag.FindStringSubmatch(m[1]); f != nil && !anyHas(roots, f[1]) && !strings.Contains(string(bench), `"`+f[1]+`"`) {
				t.Errorf("%s: no command has --%s", path, f[1])
			}
		}
		for _, m := range program.FindAllStringSubmatch(strings.ReplaceAll(code, "\\\n", " "), -1) {
			commands++
			checkCommand(t, path, roots[m[1]], strings.Fields(m[2]))
		}
	}
	if commands < 20 {
		t.Errorf("%d commands were found", commands)
	}
}

// checkCommand goes down the tree of commands, and looks for the flags where
// it arrives.
func checkCommand(t *testing.T, path string, c *cobra.Command, words []string) {
	t.Helper()
	for i := 0; i < len(words); i++ {
		word := words[i]
		if m := flag.FindStringSubmatch(word); m != nil {
			has, takes := lookup(c, m[1])
			if !has {
				t.Errorf("%s: %s has no --%s", path, c.CommandPath(), m[1])
				return
			}
			if takes && !strings.Contains(word, "=") {
				i++ // its value
			}
			continue
		}
		if !c.HasSubCommands() || strings.HasPrefix(word, "-") {
			continue
		}
		below, _, err := c.Find([]string{word})
		if err != nil || below == c {
			t.Errorf("%s: %s has no command %s", path, c.CommandPath(), word)
			return
		}
		c = below
	}
}

// lookup says whether c has a flag, and whether that takes a value.
func lookup(c *cobra.Command, flag string) (has, takes bool) {
	c.InitDefaultHelpFlag()
	f := c.Flags().Lookup(flag)
	if f == nil {
		f = c.InheritedFlags().Lookup(flag)
	}
	return f != nil, f != nil && f.NoOptDefVal == ""
}

func anyHas(roots map[string]*cobra.Command, flag string) bool {
	for _, c := range roots {
		if has, _ := lookup(c, flag); has || anyHas(children(c), flag) {
			return true
		}
	}
	return false
}

func children(c *cobra.Command) map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for _, b := range c.Commands() {
		all[b.Name()] = b
	}
	return all
}

// What is to be clicked, in bold type, is on the console or on the PBX's page.
func TestClicks(t *testing.T) {
	t.Parallel()
	var screens strings.Builder
	for _, text := range documents(t, "control/console/*.go", "control/console/templates/*.html", "control/console/templates/*/*.html", "agent/page/*.go") {
		screens.WriteString(strings.ReplaceAll(text, "…", ""))
	}
	all, clicks := screens.String(), 0
	how := documents(t, "docs/*.md")
	delete(how, "docs/performance.md") // figures
	for path, text := range how {
		for _, m := range regexp.MustCompile(`\*\*([A-Z][^*.]*)\*\*`).FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			for _, label := range strings.Split(m[1], " > ") {
				clicks++
				if !strings.Contains(all, ">"+label+"<") && !strings.Contains(all, `"`+label+`"`) {
					t.Errorf("%s: nothing is called %q", path, label)
				}
			}
		}
	}
	if clicks < 10 {
		t.Errorf("%d clicks were found", clicks)
	}
}

// Every metric that a document names is one that some part has.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	named := documents(t, "README.md", "docs/*.md", "docs/runbooks/*.md")
	registered := named["docs/metrics.md"] // is made from what is registered, and a test of dashboards keeps it so
	delete(named, "docs/metrics.md")
	for path, text := range named {
		for _, name := range regexp.MustCompile(`trunkline_(control|relay|agent)_[a-z_]+`).FindAllString(text, -1) {
			if !strings.Contains(registered, "### "+name+"\n") {
				t.Errorf("%s: there is no %s", path, name)
			}
		}
	}
}
