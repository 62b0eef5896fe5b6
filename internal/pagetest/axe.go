// Package pagetest holds pages, in a test's browser, to being for everybody:
// who cannot see, hear or point, who has a telephone and who has a wide screen.
// The pages are opened by who tests them.
package pagetest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Axe is axe-core, which looks for what keeps people out.
type Axe struct{ script string }

// NewAxe skips t where `make axe` has not put axe-core, and fails it where
// nobody would notice.
func NewAxe(t *testing.T) Axe {
	t.Helper()
	script, why := load()
	if why == "" {
		return Axe{script}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
	return Axe{}
}

// load looks in the bin/tools of the module that the working directory is in.
func load() (script, why string) {
	for dir := "."; ; dir = filepath.Join("..", dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			found, _ := filepath.Glob(filepath.Join(dir, "bin/tools/axe-core-*.js")) // the pattern is well-formed
			if len(found) == 0 {
				return "", "no axe-core in bin/tools: run `make axe`, which takes npm"
			}
			b, err := os.ReadFile(found[len(found)-1])
			if err != nil {
				return "", err.Error()
			}
			return string(b), ""
		} else if abs, err := filepath.Abs(dir); err != nil || abs == filepath.Dir(abs) {
			return "", "the working directory is in no module"
		}
	}
}

// violation is what axe says of a page.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML   string
		Target []any
	}
}

// Inspect looks at the open page once, and at its colours once more in the dark:
// nothing else differs. It fails t for what is serious.
func (a Axe) Inspect(t *testing.T, ctx context.Context, page string) {
	t.Helper()
	a.load(t, ctx)
	report(t, page, violations(t, ctx, page, `{resultTypes: ["violations"]}`))
	Theme(t, ctx, "dark")
	report(t, page+" (dark)", violations(t, ctx, page, `{resultTypes: ["violations"], runOnly: ["color-contrast"]}`))
	Theme(t, ctx, "light")
}

// Sees makes a mistake on the open page on purpose, which is found, so that
// silence means something.
func (a Axe) Sees(t *testing.T, ctx context.Context) {
	t.Helper()
	a.load(t, ctx)
	run(t, ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector("main").append(document.createElement("input")), undefined`))
	if len(violations(t, ctx, "the page with a mistake", `{runOnly: ["label"]}`)) == 0 {
		t.Error("axe does not see a field without a label")
	}
}

func (a Axe) load(t *testing.T, ctx context.Context) {
	t.Helper()
	run(t, ctx, chromedp.Evaluate[chromedp.Void](a.script))
}

// Theme is what the browser's owner prefers, "light" or "dark", and that nothing
// moves.
func Theme(t *testing.T, ctx context.Context, scheme string) {
	t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func violations(t *testing.T, ctx context.Context, page, options string) []violation {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		`axe.run(document, `+options+`).then(r => JSON.stringify(r.violations))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	var all []violation
	if err := json.Unmarshal([]byte(got), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func report(t *testing.T, page string, all []violation) {
	t.Helper()
	for _, v := range all {
		if v.Impact != "serious" && v.Impact != "critical" {
			t.Logf("%s: %s (%s)", page, v.Help, v.Impact)
			continue
		}
		for _, n := range v.Nodes {
			t.Errorf("%s: %s: %s (%s)\n\t%v %.200s", page, v.ID, v.Help, v.Impact, n.Target, n.HTML)
		}
	}
}
