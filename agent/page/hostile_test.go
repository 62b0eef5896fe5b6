package page_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"

	"trunkline/agent/manage"
	"trunkline/internal/id"
)

// What people who mean no good type. The first do something to the text that
// they are in, and no field takes them; the others are texts like any.
var (
	acting = []string{"a\r\nSet-Cookie: x=1", "a\x00b", "\x1b[31mred", "a\u202egpj.exe", "\u2066x", "a\u200bb", "a\u2028b", "\xff\xfe", "\xc0\xaf"}
	texts  = []string{hostile, `'; DROP TABLE devices; --`, `../../../etc/passwd`, `..%2f`, `{{7*7}}`, "аnnа", `%00`, `\`}
	long   = strings.Repeat("x", 2000)
)

// field is one of a form's: what of it is refused, and for what name.
type field struct {
	name string
	bad  []string
	whom string     // the page's mark is elsewhere: words that it has instead
	with url.Values // that the form has then, too
}

// submission is a form of the page's: what it takes, and what each field does
// not.
type submission struct {
	good   url.Values
	fields []field
}

func closed(name string, more ...string) field {
	return field{name: name, bad: slices.Concat(acting, texts, []string{long}, more)}
}

func phrase(name string) field {
	return field{name: name, bad: slices.Concat(acting, []string{"", " ", long})}
}

func instead(words string, f field) field { f.whom = words; return f }

// with is what is sent for one field's sake.
func (s submission) with(f field, bad string) url.Values {
	form := url.Values{}
	maps.Copy(form, s.good)
	maps.Copy(form, f.with)
	form.Set(f.name, bad)
	return form
}

// submissions are those of every route that takes a form.
var submissions = map[string]submission{
	"POST /password": {url.Values{"password": {password}, "again": {password}}, []field{
		instead("at least 8", field{name: "password", bad: []string{"", "short"}}), instead("not the same", field{name: "again", bad: []string{"", "another", "\xff", hostile}}),
	}},
	"POST /sign-in":  {url.Values{"password": {password}}, []field{instead("wrong", field{name: "password", bad: []string{"", long, hostile, "a\x00b"}})}},
	"POST /sign-out": {},
	"POST /save": {filled(nil), []field{
		closed("server_type", ""), closed("server", "", "http://x.example", "x.example/y"), closed("method", "", "telepathy"), closed("email", "", "a@"),
		{name: "password", bad: []string{"", long}}, phrase("model"), phrase("firmware"),
		closed("auto_logout", "", "4", "121", "1e1", "0x10", "5.5", "-15"), closed("ca", "-----BEGIN CERTIFICATE-----\n", strings.Repeat("x", 70<<10)),
		{name: "account_user", bad: slices.Concat(acting, []string{"super", long, ""}), with: url.Values{"account_password": {"long enough"}}},
		{name: "account_password", bad: []string{"", "short", long}, with: url.Values{"account_user": {"remote"}}},
	}},
	"POST /access":     {url.Values{"to": {"off"}}, []field{instead("no form of this page", closed("to", "", "OFF", "on,off"))}},
	"POST /visits/end": {url.Values{"visit": {string(id.NewVisit())}}, []field{instead("ended already", closed("visit", "", "vis_1"))}},
}

// state is all that a form may change.
func (w *world) state() string {
	w.desk.mu.Lock()
	defer w.desk.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%+v\n%+v\n%+v\n%v\n%s", w.desk.view, w.desk.settings, w.desk.changes, w.desk.ended, w.hash)
}

// refuses sends what is to be refused: for the field, in words, telling nothing
// and changing nothing.
func (w *world) refuses(c *http.Client, pattern string, form url.Values, f field) {
	w.t.Helper()
	before := w.state()
	_, path, _ := strings.Cut(pattern, " ")
	a := w.post(c, path, form)
	what := fmt.Sprintf("%s with %s=%.60q", pattern, f.name, form.Get(f.name))
	if a.status < 400 || a.status >= 500 {
		w.t.Errorf("%s: status %d", what, a.status)
	}
	if after := w.state(); after != before {
		w.t.Errorf("%s: changed\n%s\nto\n%s", what, before, after)
	}
	said := `aria-describedby="` + f.name + `-note"`
	if f.whom != "" {
		said = f.whom
	} else if !strings.Contains(a.body, `id="problem"`) || !strings.Contains(a.body, `<code>invalid_request</code>`) {
		w.t.Errorf("%s: no problem is shown", what)
	}
	if a.status != http.StatusTooManyRequests && !strings.Contains(a.body, said) {
		w.t.Errorf("%s: %d, and the page does not say what is wrong with it: no %s", what, a.status, said)
	}
	for _, secret := range []string{"password", "again", "account_password"} {
		if s := form.Get(secret); len(s) > 5 && strings.Contains(a.body, html.EscapeString(s)) {
			w.t.Errorf("%s: a secret is shown", what)
		}
	}
	inspect(w.t, what, a.body)
}

// inspect fails if a page has what its markup does not: elements, attributes
// and addresses of somebody else's, or characters that act.
func inspect(t *testing.T, what, body string) {
	t.Helper()
	if i := strings.IndexFunc(body, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
	}); i >= 0 {
		t.Errorf("%s: character %q in the page", what, body[i:min(i+8, len(body))])
	}
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "style" || n.Data == "iframe" || n.Data == "script" && n.FirstChild != nil {
			t.Errorf("%s: element <%s>", what, n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || (a.Key == "href" || a.Key == "src" || a.Key == "action") && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("%s: attribute %s=%q", what, a.Key, a.Val)
			}
		}
	}
}

// Whatever is typed into any form of the page: what is refused is refused for
// its field, and changes nothing. A route that is not here fails.
func TestHostileFields(t *testing.T) {
	tried, posts := 0, 0
	for _, pattern := range newWorld(t).page.RoutesForTest() {
		if !strings.HasPrefix(pattern, "POST ") {
			continue
		}
		posts++
		s, ok := submissions[pattern]
		if !ok {
			t.Errorf("no hostile forms for %s", pattern)
		}
		w := newWorld(t)
		c := w.browser()
		if pattern != "POST /password" { // which is for whoever comes first
			c = w.inside()
		}
		for _, f := range s.fields {
			for _, bad := range f.bad {
				w.refuses(c, pattern, s.with(f, bad), f)
				tried++
			}
			if slices.Contains(f.bad, "") { // not there is as good as empty
				form := s.with(f, "")
				form.Del(f.name)
				w.refuses(c, pattern, form, f)
			}
		}
	}
	if posts != len(submissions) || tried < 100 {
		t.Errorf("%d requests to %d forms: the walk is broken", tried, posts)
	}
}

// Texts that are no more than texts are kept, and shown as what they are.
func TestTextsAreShown(t *testing.T) {
	w := newWorld(t)
	c := w.inside()
	for _, s := range texts {
		a := w.post(c, "/save", filled(func(f url.Values) {
			f.Set("model", s)
			f.Set("account_user", s)
			f.Set("account_password", "long enough")
		}))
		if a.status != http.StatusSeeOther {
			t.Errorf("%q: status %d", s, a.status)
		}
		shown := w.get(c, "/")
		inspect(t, s, shown.body)
		if !strings.Contains(shown.body, `value="`+html.EscapeString(s)+`"`) {
			t.Errorf("%q is not shown as it is", s)
		}
	}
}

// Two clicks: both are answered, and remote access is what both asked for.
func TestDoubleSubmits(t *testing.T) {
	for path, form := range map[string]url.Values{"/save": filled(nil), "/access": {"to": {"off"}}} {
		w := newWorld(t)
		c := w.inside()
		var both sync.WaitGroup
		var got [2]int
		for i := range got {
			r := w.form(path, form)
			both.Go(func() { got[i] = w.do(c, r).status })
		}
		both.Wait()
		if got != [2]int{http.StatusSeeOther, http.StatusSeeOther} {
			t.Errorf("%s twice: %d", path, got)
		}
		v, err := w.desk.View(t.Context())
		if err != nil || v.Off != (path == "/access") || path == "/save" && v.Status.State != manage.Connected {
			t.Errorf("%s twice: %+v, %v", path, v, err)
		}
	}
}
