package relay_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// console is a browser at the console.
type console struct {
	*http.Client
	s *stage
}

func (s *stage) console(t *testing.T) *console {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := controlapi.NewTransport(s.TLS)
	t.Cleanup(tr.CloseIdleConnections)
	return &console{s: s, Client: &http.Client{
		Jar: jar, Transport: tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// post sends a form with the given header fields, name and value in turn.
func (c *console) post(t *testing.T, path string, form url.Values, fields ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.s.Up.ConsoleURL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	a, err := do(c.Client, req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (c *console) signIn(t *testing.T, next string, fields ...string) answer {
	t.Helper()
	email, password := c.s.Login()
	a := c.post(t, "/sign-in", url.Values{"email": {email}, "password": {password}, "next": {next}}, fields...)
	for _, k := range a.Cookies() {
		c.s.secret("a session's token", k.Value)
	}
	return a
}

func TestHostileConsole(t *testing.T) {
	s := newStage(t, nil)
	c := s.console(t)
	self := s.Up.ConsoleURL()
	if a := c.signIn(t, "/audit", "Origin", self, "Sec-Fetch-Site", "same-origin"); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/audit" {
		t.Fatalf("signing in: %s to %q", a.Status, a.Header.Get("Location"))
	}
	devices := "/devices/" + string(s.pbx.Device)
	for name, fields := range map[string][]string{
		"another site": {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		// A PBX's own pages are the console's siblings.
		"a PBX's page":          {"Origin", "https://" + s.authority(s.pbx), "Sec-Fetch-Site", "same-site"},
		"an old browser":        {"Origin", "https://evil.example"},
		"a page of no origin":   {"Origin", "null"},
		"an origin that lies":   {"Origin", self, "Sec-Fetch-Site", "cross-site"},
		"an origin close to it": {"Origin", self + ".evil.example"},
	} {
		for _, path := range []string{"/sign-in", "/sign-out", devices + "/visit", devices + "/remove", "/visits/vis_0123456789abcdef/end"} {
			t.Run(name+path[strings.LastIndexByte(path, '/'):], func(t *testing.T) {
				tr := trace{`trunkline_control_console_requests_total{route="/",status="4xx"}`, "request", fault.CrossSite}
				s.leaves(t, tr, func() fault.Code {
					a := c.post(t, path, url.Values{"email": {"a@b.example"}, "password": {"long enough"}}, fields...)
					if a.Header.Get("Set-Cookie") != "" || a.StatusCode != http.StatusForbidden {
						t.Errorf("%s, %v", a.Status, a.Header)
					}
					return a.code()
				})
			})
		}
	}
	if a := c.post(t, devices+"/visit", nil, "Origin", self); a.StatusCode != http.StatusOK {
		t.Errorf("the session did not outlive what was refused: %s", a.Status)
	}
	t.Run("sign-in leads nowhere else", c.openRedirect)
	t.Run("wrong sign-in", c.wrongSignIn)
	s.bystander.goesOn(t, 3)
}

func (c *console) openRedirect(t *testing.T) {
	for _, next := range []string{
		"https://evil.example/", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/%5cevil.example", "/%2f%2fevil.example",
		"/\t/evil.example", "/%09/evil.example", "javascript:alert(1)", "https:evil.example", "/ /evil.example", "/\r\nSet-Cookie: a=b", "/%0d%0aSet-Cookie:%20a=b",
		"/sign-out", "/.//evil.example", "/..//evil.example", "@evil.example", "/@evil.example", "?next=//evil.example", "",
		"/" + strings.Repeat("a", 5000),
	} {
		a := c.s.console(t).signIn(t, next, "Origin", c.s.Up.ConsoleURL())
		to := a.Header.Get("Location")
		base, err := url.Parse(c.s.Up.ConsoleURL())
		if err != nil {
			t.Fatal(err)
		}
		u, err := base.Parse(to)
		if a.StatusCode != http.StatusSeeOther || err != nil || u.Host != base.Host || u.Scheme != "https" || strings.ContainsAny(to, "\\\t\r\n") || strings.HasPrefix(to, "//") {
			t.Errorf("%q leads to %q (%s, %v)", next, to, a.Status, err)
		}
		if n := len(a.Header.Values("Set-Cookie")); n != 1 {
			t.Errorf("%q: %d cookies", next, n)
		}
	}
}

// The answer tells nothing of who exists.
func (c *console) wrongSignIn(t *testing.T) {
	email, _ := c.s.Login()
	pages := map[string]bool{}
	clock := regexp.MustCompile(`data-now="[^"]*"`)
	for _, who := range []string{email, "nobody@example.com"} {
		c.s.secret("a password", "a wrong password")
		c.s.leaves(t, trace{`trunkline_control_decisions_total{action="sign_in",outcome="wrong_login"}`, "request", fault.WrongLogin}, func() fault.Code {
			a := c.s.console(t).post(t, "/sign-in", url.Values{"email": {who}, "password": {"a wrong password"}})
			pages[clock.ReplaceAllString(strings.ReplaceAll(a.body, who, ""), "")] = true
			return a.code()
		})
	}
	if len(pages) != 1 {
		t.Errorf("an unknown e-mail address is answered otherwise than a wrong password: %q", slices.Collect(maps.Keys(pages)))
	}
	for path := range map[string]bool{"/": true, "/audit": true, "/devices/" + string(c.s.pbx.Device): true} {
		req, err := http.NewRequest(http.MethodGet, c.s.Up.ConsoleURL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.AddCookie(&http.Cookie{Name: "__Host-trunkline-session", Value: strings.Repeat("A", 43)})
		a, err := do(c.s.console(t).Client, req)
		if err != nil || a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/sign-in") {
			t.Errorf("%s with a forged session: %v, %v", path, a.Response, err)
		}
	}
	for _, h := range []string{"Bearer " + strings.Repeat("A", 43), "Bearer", "Basic YTpi", "Bearer " + strings.Repeat("A", 5000)} {
		req, err := http.NewRequest(http.MethodGet, c.s.Up.ConsoleURL()+"/api/v1/devices", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", h)
		c.s.leaves(t, trace{fmt.Sprintf(`trunkline_control_http_requests_total{class="4xx",route="GET %s"}`, "/api/v1/devices"), "api request", fault.SignInNeeded}, func() fault.Code {
			a, err := do(c.Client, req)
			if err != nil {
				t.Error(err)
			}
			return a.code()
		})
	}
}
