package console_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"trunkline/control/console"
	"trunkline/internal/pagetest"
)

// Nothing on any page keeps out who cannot see, hear or point: axe finds
// nothing serious, in the light and in the dark.
func TestAxe(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	axe := pagetest.NewAxe(t)
	eachPage(t, liveFake(), func(ctx context.Context, page string) {
		axe.Inspect(t, ctx, page)
		if page == "/sign-in" {
			axe.Sees(t, ctx)
		}
	})
}

// No page is to be scrolled sideways, whatever the screen, and however long the
// words are that are on it.
func TestPagesFit(t *testing.T) {
	f := liveFake()
	f.devices[1].Name, f.devices[1].Comment = strings.Repeat("W", 100), strings.Repeat("Donaudampfschifffahrt", 20)
	f.groups[0].Name, f.devices[1].Group = strings.Repeat("M", 100), f.groups[0].ID
	eachPage(t, f, func(ctx context.Context, page string) {
		pagetest.Fits(t, ctx, page)
		if page == "/sign-in" {
			pagetest.SeesWide(t, ctx)
		}
	})
}

// eachPage opens every page there is, those of forms too, in one browser.
func eachPage(t *testing.T, f *fake, look func(ctx context.Context, page string)) {
	t.Helper()
	w := newWorld(t, f)
	ctx := browse(t)
	pagetest.Theme(t, ctx, "light")
	for _, path := range []string{"/sign-in", "/invitation/" + invitation} {
		run(t, ctx, chromedp.Navigate(w.base+path))
		look(ctx, path)
	}
	signIn(t, ctx, w, "/")
	for _, path := range pagesToSee(t) {
		run(t, ctx, chromedp.Navigate(w.base+path))
		look(ctx, path)
	}
	for _, f := range formsToSee {
		b, err := json.Marshal(f.fields)
		if err != nil {
			t.Fatal(err)
		}
		run(t, ctx, chromedp.Navigate(w.base+"/nowhere"))
		read(t, ctx, submitted(f.path, string(b)))
		run(t, ctx, chromedp.WaitVisible(css(f.shows)))
		look(ctx, "POST "+f.path)
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
