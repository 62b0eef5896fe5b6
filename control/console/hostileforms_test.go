package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"trunkline/control/console"
	"trunkline/internal/fault"
)

// refuses sends what is to be refused: with a code, for the field, telling
// nothing and changing nothing.
func (w *besieged) refuses(pattern, target string, form url.Values, f field, edit ...func(*http.Request)) {
	w.t.Helper()
	rec := w.send(target, form, edit...)
	what := fmt.Sprintf("%s with %s=%.60q", pattern, f.name, form.Get(f.name))
	body := rec.Body.String()
	if rec.Code < 400 || rec.Code >= 500 {
		w.t.Errorf("%s: status %d to %q", what, rec.Code, rec.Header().Get("Location"))
		return
	}
	w.kept(what)
	inspect(w.t, what, body)
	if slices.Contains([]string{"password", "new", "again", "old"}, f.name) && len(form.Get(f.name)) > 5 && strings.Contains(body, form.Get(f.name)) {
		w.t.Errorf("%s: the secret is shown", what)
	}
	named := strings.Contains(body, `id="e-`+f.name+`"`)
	coded := strings.Contains(body, "<code>"+string(fault.Invalid)+"</code>") || f.or != "" && strings.Contains(body, "<code>"+string(f.or)+"</code>")
	if !named && !(coded && f.loud) {
		w.t.Errorf("%s: %d, and the page does not say what is wrong with it: %.300s", what, rec.Code, alertOf(body))
	}
}

// alertOf is what a page says went wrong.
func alertOf(body string) string {
	for _, mark := range []string{`class="alert"`, `class="field-error"`, "<h1"} {
		if _, after, ok := strings.Cut(body, mark); ok {
			return after
		}
	}
	return body
}

// Whatever is typed into any form of the console: it is taken as the text it
// is, or refused for the field that it is in, and then nothing is written. A
// route that is not here fails.
func TestHostileForms(t *testing.T) {
	w := besiege(t)
	forms := w.forms()
	var posts []string
	for _, r := range console.RoutesForTest(w.Handler) {
		if !strings.HasPrefix(r.Pattern, "POST ") {
			continue
		}
		posts = append(posts, r.Pattern)
		form, ok := forms[r.Pattern]
		if !ok {
			t.Errorf("no hostile forms for %s", r.Pattern)
			continue
		}
		w.fields(r.Pattern, form)
		w.paths(r.Pattern, form)
		w.bodies(r.Pattern)
	}
	if len(posts) != len(forms) {
		t.Errorf("%d forms for the routes %q", len(forms), posts)
	}
	for _, pattern := range posts {
		w.texts(pattern, forms[pattern])
	}
	if w.tried < 1000 {
		t.Errorf("only %d requests: the walk is broken", w.tried)
	}
	w.everyPage()
}

func (w *besieged) fields(pattern string, form submission) {
	w.t.Helper()
	for _, f := range form.fields {
		for _, bad := range f.bad {
			typed := with(form.good, f.name, bad)
			if f.twin != "" {
				typed.Set(f.twin, bad)
			}
			w.refuses(pattern, w.at(pattern), typed, f)
		}
		if slices.Contains(f.bad, "") { // not there is as good as empty
			missing := with(form.good, f.name, "")
			missing.Del(f.name)
			missing.Del(f.twin)
			w.refuses(pattern, w.at(pattern), missing, f)
		}
	}
}

func with(form url.Values, name, value string) url.Values {
	out := url.Values{}
	for k, v := range form {
		out[k] = slices.Clone(v)
	}
	out.Set(name, value)
	return out
}

// paths are those of things that are not there, and cannot be.
func (w *besieged) paths(pattern string, form submission) {
	w.t.Helper()
	_, path, _ := strings.Cut(pattern, " ")
	from, to := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
	if from < 0 {
		return
	}
	for _, bad := range slices.Concat(actingTexts, plainTexts, []string{strings.Repeat("x", 3000), " "}) {
		rec := w.send(path[:from]+url.PathEscape(bad)+path[to+1:], form.good)
		if rec.Code != http.StatusNotFound && fault.Status(fault.InvitationInvalid) != rec.Code {
			w.t.Errorf("%s for %.40q: status %d", pattern, bad, rec.Code)
		}
		inspect(w.t, pattern, rec.Body.String())
		w.kept(fmt.Sprintf("%s for %.40q", pattern, bad))
	}
}

// bodies are no forms, or too large for one.
func (w *besieged) bodies(pattern string) {
	w.t.Helper()
	for _, c := range []struct {
		kind, body string
		status     int
	}{
		{"application/x-www-form-urlencoded", "name=%zz", http.StatusBadRequest},
		{"application/x-www-form-urlencoded", "a;b=c", http.StatusBadRequest},
		{"multipart/form-data", "no boundary", http.StatusBadRequest},
		{"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhalf", http.StatusBadRequest},
		{"application/x-www-form-urlencoded", "name=" + strings.Repeat("x", 200<<10), http.StatusRequestEntityTooLarge},
	} {
		rec := w.send(w.at(pattern), nil, header("Content-Type", c.kind), func(r *http.Request) { setBody(r, c.body) })
		if rec.Code != c.status {
			w.t.Errorf("%s as %s, %.30q: status %d", pattern, c.kind, c.body, rec.Code)
		}
		inspect(w.t, pattern, rec.Body.String())
	}
	w.kept(pattern + " with a body that is no form")
}

// texts are taken as they are where any text is, and the page that follows
// shows them so.
func (w *besieged) texts(pattern string, form submission) {
	w.t.Helper()
	if form.once {
		return
	}
	for _, f := range form.fields {
		if f.loud || slices.Contains(f.bad, plainTexts[0]) {
			continue
		}
		for _, s := range plainTexts {
			typed := with(form.good, f.name, fmt.Sprint(s, w.tried)) // a name is there once
			if typed.Has("email") {
				typed.Set("email", fmt.Sprintf("n%d@acme.example", w.tried))
			}
			rec := w.send(w.at(pattern), typed)
			if rec.Code >= 400 {
				w.t.Errorf("%s with %s=%q: status %d, %.300s", pattern, f.name, s, rec.Code, alertOf(rec.Body.String()))
			}
			if strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") {
				inspect(w.t, pattern, rec.Body.String())
			}
		}
	}
}

// everyPage shows what is on record now.
func (w *besieged) everyPage() {
	w.t.Helper()
	seen := 0
	for _, r := range console.RoutesForTest(w.Handler) {
		if !strings.HasPrefix(r.Pattern, "GET ") || strings.Contains(r.Pattern, "/live") || strings.Contains(r.Pattern, "{token}") {
			continue
		}
		rec := ask(w, http.MethodGet, w.at(r.Pattern), nil, header("Cookie", "__Host-trunkline-session="+w.session))
		if rec.Code >= 500 {
			w.t.Errorf("%s: status %d", r.Pattern, rec.Code)
		}
		if strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") {
			inspect(w.t, r.Pattern, rec.Body.String())
			seen += strings.Count(rec.Body.String(), "&lt;script&gt;")
		}
	}
	if seen < 5 {
		w.t.Errorf("the texts are on %d places of the pages: the walk is broken", seen)
	}
}

// Two clicks, or two windows: both are answered, and what is made is what was
// said to be made. An address has one person, and a link makes one session.
func TestDoubleSubmits(t *testing.T) {
	w := besiege(t)
	forms := w.forms()
	for pattern, c := range map[string]struct {
		rows string // what a submission adds to
		one  bool   // the second finds the first
	}{
		"POST /devices/add":        {"devices", false},
		"POST /groups":             {"device_groups", true},
		"POST /people/invite":      {"users", true},
		"POST /resellers/add":      {"accounts", true},
		"POST /me/tokens":          {"api_tokens", false},
		"POST /invitation/{token}": {"sessions", true},
	} {
		count := func() string { return w.column("SELECT count(*) FROM " + c.rows)[0] }
		before := count()
		who := header("Cookie", "__Host-trunkline-session="+w.session)
		if pattern == "POST /invitation/{token}" { // would end the session before
			who = signedOut
		}
		var codes [2]int
		var both sync.WaitGroup
		for i := range codes {
			both.Go(func() {
				codes[i] = ask(w, http.MethodPost, w.at(pattern), forms[pattern].good, who).Code
			})
		}
		both.Wait()
		made := 0
		for _, code := range codes {
			if code >= 500 {
				t.Errorf("%s twice: status %d", pattern, code)
			}
			if code < 400 {
				made++
			}
		}
		if after := count(); made < 1 || c.one && made != 1 || number(t, after)-number(t, before) != made {
			t.Errorf("%s twice: statuses %d, and %s rows of %s became %s", pattern, codes, before, c.rows, after)
		}
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	return must(strconv.Atoi(s))(t)
}
