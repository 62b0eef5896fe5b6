package page_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// The first to choose a password has it; whoever chose at the same time is told.
func TestFirstUse(t *testing.T) {
	w := newWorld(t)
	if a := w.get(w.browser(), "/"); a.status != 200 || !strings.Contains(a.body, "Set a password") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for problem, f := range map[string]url.Values{
		"at least 8 characters": {"password": {"short"}, "again": {"short"}},
		"not the same":          {"password": {"long enough"}, "again": {"long enoughx"}},
		"longer than 1024":      {"password": {strings.Repeat("x", 1025)}, "again": {strings.Repeat("x", 1025)}},
	} {
		if a := w.post(w.browser(), "/password", f); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, problem) {
			t.Errorf("%s: %d", problem, a.status)
		}
	}
	var wg sync.WaitGroup
	status := make([]int, 6)
	for i := range status {
		c, r := w.browser(), w.form("/password", url.Values{"password": {password}, "again": {password}})
		wg.Go(func() { status[i] = w.do(c, r).status })
	}
	wg.Wait()
	won := 0
	for _, s := range status {
		switch s {
		case http.StatusSeeOther:
			won++
		case http.StatusConflict:
		default:
			t.Errorf("status %d", s)
		}
	}
	if won != 1 {
		t.Errorf("%d set the password", won)
	}
	if a := w.get(w.browser(), "/"); strings.Contains(a.body, "Set a password") {
		t.Error("it can be set again")
	}
}

// Whatever its file holds, nobody chooses the password anew.
func TestDamagedPassword(t *testing.T) {
	for _, spoil := range []func(*world){
		func(w *world) { w.broken = errors.New("input/output error") },
		func(w *world) { w.hash = "half a ha" },
	} {
		w := newWorld(t)
		spoil(w)
		for _, a := range []answer{
			w.get(w.browser(), "/"),
			w.post(w.browser(), "/password", url.Values{"password": {password}, "again": {password}}),
			w.post(w.browser(), "/sign-in", url.Values{"password": {password}}),
		} {
			if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "page reset-password") {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
	}
}

// Nothing is shown or done without a session; a token that was planted, has
// been signed out or belongs to a password that was reset is none.
func TestSession(t *testing.T) {
	w := newWorld(t)
	c := w.inside()
	stranger := w.browser()
	for _, path := range []string{"/save", "/access", "/visits/end"} {
		if a := w.post(stranger, path, filled(nil)); a.status != http.StatusSeeOther || w.desk.changed() != 0 {
			t.Errorf("%s: %d, %d changes", path, a.status, w.desk.changed())
		}
	}
	if a := w.get(stranger, "/"); strings.Contains(a.body, "3631A20C0042") || !strings.Contains(a.body, "Sign in") {
		t.Error("a stranger sees the PBX")
	}
	if a := w.get(stranger, "/live"); a.status != http.StatusUnauthorized || a.body != "" {
		t.Errorf("/live: %d %q", a.status, a.body)
	}
	base, _ := url.Parse(w.base)
	before := c.Jar.Cookies(base)[0]
	stranger.Jar.SetCookies(base, []*http.Cookie{{Name: "trunkline_page", Value: "planted", Path: "/"}})
	a := w.post(stranger, "/sign-in", url.Values{"password": {password}})
	set := a.head.Get("Set-Cookie")
	if strings.Contains(set, "planted") || strings.Contains(set, before.Value) || !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Strict") {
		t.Errorf("cookie %q", set)
	}
	token := c.Jar.Cookies(base)[0]
	w.post(c, "/sign-out", nil)
	c.Jar.SetCookies(base, []*http.Cookie{token})
	if a := w.get(c, "/live"); a.status != http.StatusUnauthorized {
		t.Errorf("after signing out: %d", a.status)
	}
	w.mu.Lock()
	w.hash = ""
	w.mu.Unlock()
	w.page.Forget()
	if a := w.get(stranger, "/live"); a.status != http.StatusUnauthorized {
		t.Errorf("after the password was reset: %d", a.status)
	}
	if a := w.get(w.browser(), "/"); !strings.Contains(a.body, "Set a password") {
		t.Error("the password was not reset")
	}
}

// Wrong passwords are soon not looked at any more, and the right one neither,
// for a moment.
func TestThrottle(t *testing.T) {
	w := newWorld(t)
	w.inside()
	w.page.StopTime()
	c := w.browser()
	for i := range 10 {
		if a := w.post(c, "/sign-in", url.Values{"password": {"wrong"}}); a.status != http.StatusUnauthorized {
			t.Fatalf("try %d: %d", i, a.status)
		}
	}
	for _, p := range []string{"wrong", password, strings.Repeat("x", 5000)} {
		a := w.post(c, "/sign-in", url.Values{"password": {p}})
		if a.status != http.StatusTooManyRequests || a.head.Get("Retry-After") == "" {
			t.Errorf("%d, Retry-After %q", a.status, a.head.Get("Retry-After"))
		}
	}
}

// A name that somebody's DNS points here is not answered, whatever is asked.
func TestRebinding(t *testing.T) {
	w := newWorld(t, "pbx.example.com")
	c := w.inside()
	for host, want := range map[string]int{
		"127.0.0.1": 200, "localhost:9700": 200, "[::1]:9700": 200, "LOCALHOST": 200, "pbx.example.com": 200, "PBX.example.com:8443": 200,
		"evil.example": 421, "127.0.0.1.evil.example": 421, "evil.example:9700": 421, "localhost.evil.example": 421,
		"0.0.0.0": 421, "[::]": 421, "2130706433": 421, "pbx.example.com.": 421, "a@localhost": 421,
	} {
		for _, path := range []string{"/", "/live", "/assets/page.css"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			// The cookie is of another host's, so /live refuses it; that is an answer.
			if a := w.do(c, r); (a.status == 421 || a.status == 400) != (want == 421) {
				t.Errorf("%s%s: %d, want %d", host, path, a.status, want)
			}
		}
		r := w.form("/access", url.Values{"to": {"off"}})
		r.Host = host
		w.do(c, r)
		if n := w.desk.changed(); want == 421 && n > 0 {
			t.Errorf("%s changes settings", host)
		}
		w.desk.mu.Lock()
		w.desk.changes = nil
		w.desk.mu.Unlock()
	}
}

// Another site's page cannot send our forms, nor read or embed what we say.
func TestCrossSite(t *testing.T) {
	w := newWorld(t)
	c := w.inside()
	for name, head := range map[string]http.Header{
		"cross-site":      {"Sec-Fetch-Site": {"cross-site"}},
		"another port":    {"Sec-Fetch-Site": {"same-site"}},
		"old browser":     {"Origin": {"https://evil.example"}},
		"sandboxed frame": {"Origin": {"null"}},
		"other scheme":    {"Origin": {"http://127.0.0.1:1"}},
		"by navigation":   {"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}},
	} {
		for _, path := range []string{"/access", "/save", "/visits/end", "/sign-in", "/sign-out", "/password"} {
			r := w.form(path, url.Values{"to": {"off"}})
			for k, v := range head {
				r.Header[k] = v
			}
			if a := w.do(c, r); a.status != http.StatusForbidden {
				t.Errorf("%s: POST %s: %d", name, path, a.status)
			}
		}
	}
	if n := w.desk.changed(); n != 0 {
		t.Errorf("%d changes", n)
	}
	for dest, want := range map[string]int{"document": 200, "iframe": 403, "script": 403, "empty": 403} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Dest", dest)
		r.Header.Set("Sec-Fetch-Mode", map[bool]string{true: "navigate", false: "no-cors"}[dest == "document" || dest == "iframe"])
		if a := w.do(c, r); a.status != want {
			t.Errorf("GET as %s: %d, want %d", dest, a.status, want)
		}
	}
}

// Every answer forbids to be framed, guessed at and kept.
func TestHeaders(t *testing.T) {
	w := newWorld(t)
	c := w.inside()
	for _, path := range []string{"/", "/live", "/nothing", "/assets/page.js", "/assets/none", "/assets/..%2fpage.go"} {
		a := w.get(c, path)
		for name, want := range map[string]string{
			"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if !strings.Contains(a.head.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, a.head.Get(name))
			}
		}
		if strings.Contains(a.body, "<script>") || strings.Contains(a.body, " style=") || strings.Contains(a.body, "onclick") {
			t.Errorf("%s has something inline", path)
		}
	}
}
