package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/control/console"
	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// concrete fills a route's pattern with things that exist.
func concrete(pattern string) (method, path string) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = http.MethodGet, "/nowhere"
	}
	return method, strings.NewReplacer(
		"{$}", "", "{device}", string(deviceID(1)), "{site}", "pbx-00000001", "{visit}", string(visitID(1)), "{name}", "app.css",
		"{group}", string(groupID(1)), "{user}", string(userID(2)), "{account}", string(accountID(2)), "{role}", "technician",
		"/invitation/{token}", "/invitation/"+invitation, "{token}", string(tokenID(1)),
	).Replace(path)
}

// Every page but these few needs a session: without one nothing of the fleet
// is asked, and with a wrong one neither.
func TestEveryRouteIsBehindTheDoor(t *testing.T) {
	public := []string{"GET /assets/{name}", "GET /sign-in", "POST /sign-in", "GET /invitation/{token}", "POST /invitation/{token}", "/"}
	for _, r := range console.RoutesForTest(newConsole(t, sample())) {
		if r.Public != slices.Contains(public, r.Pattern) {
			t.Errorf("%s: public is %v", r.Pattern, r.Public)
		}
		if r.Public {
			continue
		}
		for name, edit := range map[string]func(*http.Request){
			"no cookie":    signedOut,
			"wrong cookie": header("Cookie", "__Host-trunkline-session=someone-elses"),
			"huge cookie":  header("Cookie", "__Host-trunkline-session="+strings.Repeat("x", 5000)),
			"API token":    header("Cookie", "__Host-trunkline-session="+fleet.TokenPrefix+"good"),
			"other name":   header("Cookie", "trunkline-session="+goodToken),
		} {
			f := sample()
			f.live[fleet.TokenPrefix+"good"] = true
			method, path := concrete(r.Pattern)
			w := ask(newConsole(t, f), method, path, nil, edit)
			for _, call := range f.calls {
				if call != "Authenticate" {
					t.Errorf("%s with %s: asked fleet for %s", r.Pattern, name, call)
				}
			}
			if path == "/live" {
				if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "sign_in_needed") {
					t.Errorf("%s with %s: %d %s", r.Pattern, name, w.Code, w.Body)
				}
			} else if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/sign-in") {
				t.Errorf("%s with %s: %d to %q, want the sign-in", r.Pattern, name, w.Code, to)
			}
		}
	}
}

func TestSignInReturnsToThePage(t *testing.T) {
	for ask_, want := range map[string]string{
		"GET /":                                    "/sign-in",
		"GET /visit/pbx-00000001":                  "/sign-in?next=%2Fvisit%2Fpbx-00000001",
		"GET /?q=a+b&status=connected":             "/sign-in?next=%2F%3Fq%3Da%2Bb%26status%3Dconnected",
		"POST /devices/dev_0000000000000001/visit": "/sign-in?next=%2Fdevices%2Fdev_0000000000000001",
		"POST /visits/vis_0000000000000001/end":    "/sign-in?next=%2Fvisits",
		"POST /devices/selected":                   "/sign-in",
		"GET /devices?q=a+b":                       "/sign-in?next=%2Fdevices%3Fq%3Da%2Bb",
		"POST /sign-out":                           "/sign-in",
	} {
		method, path, _ := strings.Cut(ask_, " ")
		w := ask(newConsole(t, sample()), method, path, nil, signedOut)
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("%s: to %q, want %q", ask_, got, want)
		}
	}
}

// Whoever has to sign in before a form is taken goes on at its page, which is there.
func TestSignInReturnsToThePageOfAForm(t *testing.T) {
	forms := 0
	for _, r := range console.RoutesForTest(newConsole(t, sample())) {
		method, path := concrete(r.Pattern)
		if isForm := method == http.MethodPost && !r.Public; isForm != (r.Page != "") {
			t.Errorf("%s: its page is %q", r.Pattern, r.Page)
		} else if !isForm {
			continue
		}
		forms++
		to, err := url.Parse(ask(newConsole(t, sample()), method, path, nil, signedOut).Header().Get("Location"))
		if err != nil || to.Path != "/sign-in" {
			t.Fatalf("%s: to %q: %v", r.Pattern, to, err)
		}
		next := to.Query().Get("next")
		if next == "" {
			next = "/"
		}
		if _, want := concrete("GET " + r.Page); next != want {
			t.Errorf("%s: goes on at %q, want %q", r.Pattern, next, want)
		}
		w := ask(newConsole(t, sample()), "GET", next, nil)
		if w.Code == http.StatusSeeOther { // there is nothing left to confirm
			w = ask(newConsole(t, sample()), "GET", w.Header().Get("Location"), nil)
		}
		if w.Code != http.StatusOK {
			t.Errorf("%s: goes on at %q, which answers %d", r.Pattern, next, w.Code)
		}
	}
	if forms < 25 {
		t.Errorf("%d forms were tried", forms)
	}
}

func TestDevicesTyped(t *testing.T) {
	for typed, want := range map[string]string{"/devices": "/", "/devices?q=a+b&status=connected": "/?q=a+b&status=connected"} {
		if w := ask(newConsole(t, sample()), "GET", typed, nil); w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", typed, w.Code, w.Header().Get("Location"), want)
		}
	}
}

func TestSignIn(t *testing.T) {
	f := sample()
	h := newConsole(t, f)
	form := url.Values{"email": {" " + goodEmail + " "}, "password": {goodSecret}, "next": {"/visits?x=1"}}
	w := ask(h, "POST", "/sign-in", form)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/visits?x=1" {
		t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies: %v", cookies)
	}
	c := cookies[0]
	if c.Name != "__Host-trunkline-session" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("cookie %q lacks an attribute", c.Raw)
	}
	if c.Value == goodToken {
		t.Error("the token of before the sign-in goes on")
	}
	if f.live[goodToken] {
		t.Error("the session of before the sign-in still lives")
	}
	if got := ask(h, "GET", "/sign-in?next=/audit", nil, header("Cookie", c.Name+"="+c.Value)); got.Header().Get("Location") != "/audit" {
		t.Errorf("sign-in while signed in: %d", got.Code)
	}
	out := ask(h, "POST", "/sign-out", nil, header("Cookie", c.Name+"="+c.Value))
	if len(out.Result().Cookies()) != 1 || out.Result().Cookies()[0].MaxAge >= 0 || f.live[c.Value] {
		t.Errorf("sign-out left something: %v", out.Header())
	}
}

// A refusal is told in the form, keeps the e-mail and the way on, never the
// password, and makes no cookie.
func TestSignInRefused(t *testing.T) {
	f := func(form url.Values, fail error, status int, want ...string) {
		t.Helper()
		fl := sample()
		fl.fail["SignIn"] = fail
		w := ask(newConsole(t, fl), "POST", "/sign-in", form, signedOut)
		if w.Code != status || len(w.Result().Cookies()) > 0 {
			t.Errorf("%v: status %d, want %d; cookies %v", form, w.Code, status, w.Result().Cookies())
		}
		for _, s := range want {
			if !strings.Contains(w.Body.String(), s) {
				t.Errorf("%v: no %q in the page", form, s)
			}
		}
		if p := form.Get("password"); len(p) > 3 && strings.Contains(w.Body.String(), p) {
			t.Errorf("%v: the page has the password", form)
		}
	}
	f(url.Values{}, nil, 400, "Enter your e-mail address.", "invalid_request", `aria-invalid="true"`)
	f(url.Values{"email": {goodEmail}}, nil, 400, "Enter your password.")
	f(url.Values{"email": {goodEmail}, "password": {strings.Repeat("pass", 300)}}, nil, 400, "longer than any password")
	f(url.Values{"email": {goodEmail}, "password": {"hunter22"}, "next": {"/audit"}}, nil, 401, "wrong_login", `value="ada@acme.example"`, `value="/audit"`)
	throttled := fault.New(fault.TooMany, "Too many attempts.").After(150 * time.Second)
	f(url.Values{"email": {goodEmail}, "password": {"hunter22"}}, throttled, 429, "too_many_requests", "Try again in 3 minutes, at 12:02 UTC.")
	f(url.Values{"email": {strings.Repeat("e", 20<<10)}, "password": {"x"}}, nil, 413, "too_large")
	w := ask(newConsole(t, sample()), "POST", "/sign-in", nil, func(r *http.Request) {
		r.URL.RawQuery = "email=" + goodEmail + "&password=" + url.QueryEscape(goodSecret)
	})
	if w.Code != 400 {
		t.Errorf("a password in the address was taken: %d", w.Code)
	}
}

func TestNextIsLocal(t *testing.T) {
	for raw, want := range map[string]string{
		"":                             "/",
		"/":                            "/",
		"/audit?q=a%20b":               "/audit?q=a%20b",
		"/visit/pbx-00000001":          "/visit/pbx-00000001",
		"audit":                        "/",
		"//evil.example":               "/",
		"///evil.example":              "/",
		`/\evil.example`:               "/",
		`\\evil.example`:               "/",
		"/%5cevil.example":             "/",
		"/%2fevil.example":             "/",
		"/%0d%0aSet-Cookie:x":          "/",
		"/\t/evil.example":             "/",
		"/ /evil.example":              "/",
		"https://evil.example/":        "/",
		"https:evil.example":           "/",
		"javascript:alert(1)":          "/",
		"/sign-out":                    "/",
		"/sign-in?next=/sign-in":       "/",
		"/live?id=x":                   "/",
		"/a#//evil.example":            "/a",
		"/" + strings.Repeat("a", 600): "/",
	} {
		if got := console.LocalPathForTest(raw); got != want {
			t.Errorf("next=%q goes to %q, want %q", raw, got, want)
		}
	}
}

// Whatever comes in, the way on stays on the console and is its own fixpoint.
func FuzzNext(f *testing.F) {
	for _, s := range []string{"/", "//x", "/a?b=c#d", `/\x`, "/%2f%2fx", "https://x", "/;@x", "/:x", "/a/../..//x", "/%zz"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://console.relay.example/")
	f.Fuzz(func(t *testing.T, raw string) {
		got := console.LocalPathForTest(raw)
		if again := console.LocalPathForTest(got); again != got {
			t.Errorf("%q -> %q -> %q", raw, got, again)
		}
		u, err := base.Parse(got)
		if err != nil || u.Host != base.Host || u.Scheme != "https" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t ") {
			t.Errorf("%q -> %q leaves the console", raw, got)
		}
	})
}

func TestCrossOriginPostsAreRefused(t *testing.T) {
	for name, edit := range map[string]func(*http.Request){
		"cross-site":   header("Sec-Fetch-Site", "cross-site"),
		"a PBX's page": header("Sec-Fetch-Site", "same-site"),
		"by origin":    header("Origin", "https://pbx-00000001.relay.example:8443"),
		"no origin":    header("Origin", "null"),
		"other port":   header("Origin", "https://console.relay.example:9443"),
	} {
		for _, r := range console.RoutesForTest(newConsole(t, sample())) {
			method, path := concrete(r.Pattern)
			if method != http.MethodPost {
				continue
			}
			f := sample()
			w := ask(newConsole(t, f), method, path, url.Values{"email": {goodEmail}, "password": {goodSecret}}, edit)
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "cross_site_request") || len(f.calls) > 0 {
				t.Errorf("%s, %s: %d, fleet was asked %v", r.Pattern, name, w.Code, f.calls)
			}
		}
	}
	same := header("Origin", "https://console.relay.example:8443")
	if w := ask(newConsole(t, sample()), "POST", "/sign-out", nil, same); w.Code != http.StatusSeeOther {
		t.Errorf("our own page's post: %d", w.Code)
	}
}

// A hostile PBX's page shares the registrable domain, so its requests have the
// cookie. It may link to the console, and nothing else.
func TestOtherPagesMayOnlyLink(t *testing.T) {
	f := func(site, mode, dest string, want int) {
		t.Helper()
		w := ask(newConsole(t, sample()), "GET", "/", nil,
			header("Sec-Fetch-Site", site), header("Sec-Fetch-Mode", mode), header("Sec-Fetch-Dest", dest))
		if w.Code != want {
			t.Errorf("%s %s %s: %d, want %d", site, mode, dest, w.Code, want)
		}
	}
	f("same-site", "navigate", "document", 200)
	f("cross-site", "navigate", "document", 200)
	f("none", "navigate", "document", 200)
	f("same-origin", "cors", "empty", 200)
	f("same-site", "no-cors", "script", 403)
	f("same-site", "cors", "empty", 403)
	f("same-site", "navigate", "iframe", 403)
}

func TestHeadersOnEverything(t *testing.T) {
	const zone = "https://*.relay.example:8443"
	check := func(what string, w *httptest.ResponseRecorder) {
		t.Helper()
		h := w.Header()
		csp := h.Get("Content-Security-Policy")
		for _, d := range []string{
			"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
			"form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
		} {
			if !strings.Contains(csp, d) {
				t.Errorf("%s: policy %q lacks %q", what, csp, d)
			}
		}
		if isHandover := strings.HasSuffix(what, "/visit") || strings.HasPrefix(what, "POST /visit/"); isHandover != strings.Contains(csp, zone) {
			t.Errorf("%s: policy %q about forms to sites", what, csp)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s: %q", what, name, h.Get(name))
			}
		}
		if h.Get("Referrer-Policy") == "" || h.Get("Permissions-Policy") == "" || h.Get("Cache-Control") == "" {
			t.Errorf("%s: a header is missing: %v", what, h)
		}
	}
	for _, r := range console.RoutesForTest(newConsole(t, sample())) {
		method, path := concrete(r.Pattern)
		if path == "/live" {
			continue // endless; its refusal has them, below
		}
		w := ask(newConsole(t, sample()), method, path, nil)
		check(r.Pattern[:min(len(r.Pattern), 4)]+" "+path, w)
		if !strings.Contains(path, "/assets/") && w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q", r.Pattern, w.Header().Get("Cache-Control"))
		}
		if strings.HasSuffix(path, "/visit") && w.Header().Get("Referrer-Policy") != "strict-origin" {
			t.Errorf("the handover's page: Referrer-Policy %q keeps the Origin from the relay", w.Header().Get("Referrer-Policy"))
		}
	}
	check("/live refused", ask(newConsole(t, sample()), "GET", "/live", nil, signedOut))
	check("cross-origin", ask(newConsole(t, sample()), "POST", "/sign-out", nil, header("Sec-Fetch-Site", "cross-site")))
	check("PUT", ask(newConsole(t, sample()), "PUT", "/", nil))
}
