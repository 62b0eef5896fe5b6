package console_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"trunkline/control/console"
)

// axeScript is axe-core as `make axe` has put it there.
func axeScript(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("../../bin/tools/axe-core-*.js")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		const why = "no axe-core in bin/tools: run `make axe`"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	b, err := os.ReadFile(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// violation is what axe says of a page.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML   string
		Target []any
	}
}

// Nothing on any page keeps out who cannot see, hear or point: axe finds
// nothing serious, in the light and in the dark. One browser for all of them.
func TestAxe(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	script := axeScript(t)
	w := newWorld(t, liveFake())
	ctx := browse(t)
	theme(t, ctx, "light")
	run(t, ctx, chromedp.Navigate(w.base+"/sign-in"))
	inspectPage(t, ctx, "/sign-in", script)
	axeSees(t, ctx)
	run(t, ctx, chromedp.Navigate(w.base+"/invitation/"+invitation))
	inspectPage(t, ctx, "/invitation", script)
	signIn(t, ctx, w, "/")
	for _, path := range pagesToSee(t) {
		run(t, ctx, chromedp.Navigate(w.base+path))
		inspectPage(t, ctx, path, script)
	}
	for _, f := range formsToSee {
		b, err := json.Marshal(f.fields)
		if err != nil {
			t.Fatal(err)
		}
		run(t, ctx, chromedp.Navigate(w.base+"/nowhere"))
		read(t, ctx, submitted(f.path, string(b)))
		run(t, ctx, chromedp.WaitVisible(css(f.shows)))
		inspectPage(t, ctx, "POST "+f.path, script)
	}
}

// axeSees: a mistake made on purpose is found, so that silence means something.
func axeSees(t *testing.T, ctx context.Context) {
	t.Helper()
	read(t, ctx, `document.querySelector("main").append(document.createElement("input")), ""`)
	if len(violations(t, ctx, "/sign-in", `{runOnly: ["label"]}`)) == 0 {
		t.Error("axe does not see a field without a label")
	}
}

// submitted is a script that sends a form as a page's own would be sent.
func submitted(path, fields string) string {
	return `(() => { const f = document.createElement("form"); f.method = "post"; f.action = "` + path + `";
for (const [k, v] of Object.entries(` + fields + `)) { const i = document.createElement("input"); i.name = k; i.value = v; f.append(i); }
document.body.append(f); f.submit(); return ""; })()`
}

// formsToSee lead to pages that have no address: secrets, and what was refused.
var formsToSee = []struct {
	path   string
	fields map[string]string
	shows  string
}{
	{"/devices/add", map[string]string{"name": "Pier 9", "code_life": "24h"}, "#secret"},
	{"/devices/add", map[string]string{"name": "Pier 9", "code_life": "soon"}, ".field-error"},
	{"/people/invite", map[string]string{"name": "Bea", "email": "bea@acme.example", "role": "technician"}, "#secret"},
	{"/resellers/add", map[string]string{"name": "Below", "connections": "2", "person": "Bea", "email": "bea@acme.example"}, "#secret"},
	{"/me/tokens", map[string]string{"name": "backup", "scope": "devices:read", "life": "168h"}, "#secret"},
	{"/devices/selected", map[string]string{"id": string(deviceID(1)), "do": "remove"}, ".danger.solid"},
}

// pagesToSee are the console's routes that answer with a page.
func pagesToSee(t *testing.T) []string {
	t.Helper()
	out := []string{"/?q=zzz", "/nowhere"}
	f := sample()
	h := newConsole(t, f)
	for _, r := range console.RoutesForTest(h) {
		method, path := concrete(r.Pattern)
		if method != http.MethodGet || path == "/live" || path == "/sign-in" || path == "/nowhere" || strings.Contains(path, "/export") || strings.HasPrefix(path, "/assets/") {
			continue
		}
		w := ask(h, method, path, nil)
		if isPage(w) {
			out = append(out, path)
		} else if w.Code >= 400 {
			t.Errorf("%s: status %d: give concrete() an id for it", r.Pattern, w.Code)
		}
	}
	if len(out) < 25 {
		t.Errorf("only %d pages: the walk is broken", len(out))
	}
	return out
}

func isPage(w *httptest.ResponseRecorder) bool {
	return w.Code < 300 && strings.HasPrefix(w.Header().Get("Content-Type"), "text/html")
}

func theme(t *testing.T, ctx context.Context, scheme string) {
	t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		t.Fatal(err)
	}
}

// inspectPage looks at the page once, and at its colours once more in the dark:
// nothing else differs.
func inspectPage(t *testing.T, ctx context.Context, path, script string) {
	t.Helper()
	run(t, ctx, chromedp.Evaluate[chromedp.Void](script))
	report(t, path, violations(t, ctx, path, `{resultTypes: ["violations"]}`))
	theme(t, ctx, "dark")
	report(t, path+" (dark)", violations(t, ctx, path, `{resultTypes: ["violations"], runOnly: ["color-contrast"]}`))
	theme(t, ctx, "light")
}

func violations(t *testing.T, ctx context.Context, path, options string) []violation {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		`axe.run(document, `+options+`).then(r => JSON.stringify(r.violations))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var all []violation
	if err := json.Unmarshal([]byte(got), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func report(t *testing.T, path string, all []violation) {
	t.Helper()
	for _, v := range all {
		if v.Impact != "serious" && v.Impact != "critical" {
			t.Logf("%s: %s (%s)", path, v.Help, v.Impact)
			continue
		}
		for _, n := range v.Nodes {
			t.Errorf("%s: %s: %s (%s)\n\t%v %.200s", path, v.ID, v.Help, v.Impact, n.Target, n.HTML)
		}
	}
}
