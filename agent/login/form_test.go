package login_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trunkline/agent/login"
	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

// plainForm is a form without a page, which the portals below take.
func plainForm() login.FormConfig {
	return login.FormConfig{
		Action: "/login", User: "super", Password: "s3cret", UserField: "u", PasswordField: "p",
		Success: login.Success{Status: []int{303}},
	}
}

func signIn(t *testing.T, c login.FormConfig, h http.HandlerFunc) (tunnel.Login, error) {
	t.Helper()
	origin, dial := serve(t, h)
	s, err := login.NewSigner(c, origin, dial)
	if err != nil {
		t.Fatal(err)
	}
	return s.SignIn(t.Context(), "Ann <ann@example.com>")
}

func TestForm(t *testing.T) {
	c := plainForm()
	c.Page, c.TokenField, c.PersonField, c.Start = "/sign/in?lang=en", "csrf", "behalf", "/start"
	c.Fields = map[string]string{"mode": "web", "u": "nobody"}
	got, err := signIn(t, c, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			if r.RequestURI != "/sign/in?lang=en" {
				t.Errorf("page %s", r.RequestURI)
			}
			http.SetCookie(w, &http.Cookie{Name: "guard", Value: "g1"}) // for /sign
			http.SetCookie(w, &http.Cookie{Name: "all", Value: "a1", Path: "/"})
			fmt.Fprint(w, `<!-- <input name=csrf value=no> --><script>"<input name=csrf value=no>"</script>
				<form><INPUT type="hidden" VALUE='t&amp;1' name = "csrf" /></form>`)
			return
		}
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		want := map[string][]string{"u": {"super"}, "p": {"s3cret"}, "csrf": {"t&1"}, "behalf": {"Ann <ann@example.com>"}, "mode": {"web"}}
		if diff := cmp.Diff(want, map[string][]string(r.PostForm)); diff != "" {
			t.Errorf("form: %s", diff)
		}
		if o := r.Header.Get("Origin"); o != "http://"+r.Host || !strings.HasPrefix(r.Header.Get("Referer"), o+"/") {
			t.Errorf("origin %q, referer %q", o, r.Header.Get("Referer"))
		}
		if c := r.Header.Get("Cookie"); c != "all=a1" { // guard is for /sign alone
			t.Errorf("cookies %q", c)
		}
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "s1", Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: 60})
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "s2", Path: "/", HttpOnly: true, Domain: "pbx.example", SameSite: http.SameSiteLaxMode})
		http.SetCookie(w, &http.Cookie{Name: "all", Value: "", Path: "/", Expires: time.Now().Add(-time.Hour)})
		w.Header().Set("Location", "http://"+r.Host+"/welcome")
		w.WriteHeader(http.StatusSeeOther)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := tunnel.Login{Location: "/start", Cookies: []tunnel.Cookie{
		{Name: "guard", Value: "g1", Path: "/sign"},
		{Name: "sid", Value: "s2", Path: "/", HTTPOnly: true, SameSite: "lax"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFormAsJSON(t *testing.T) {
	c := plainForm()
	c.JSON, c.Success = true, login.Success{Status: []int{200, 204}, Contains: `"ok"`}
	_, err := signIn(t, c, func(w http.ResponseWriter, r *http.Request) {
		var got map[string]string
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got["u"] != "super" || got["p"] != "s3cret" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v, %v", got, err)
		}
		fmt.Fprint(w, `{"is":"ok"}`)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWhatSuccessIs(t *testing.T) {
	f := func(s login.Success, want bool, answer http.HandlerFunc) {
		t.Helper()
		c := plainForm()
		c.Success = s
		_, err := signIn(t, c, answer)
		if want && err != nil || !want && fault.CodeOf(err) != fault.LoginFailed {
			t.Errorf("%+v: %v", s, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the password is in %q", err)
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: "x"})
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
			fmt.Fprint(w, "body of s3cret")
		}
	}
	f(login.Success{Status: []int{302}}, true, redirect("/home"))
	f(login.Success{Status: []int{200, 303}}, false, redirect("/home"))
	f(login.Success{Location: "/home"}, true, redirect("/home?new=1"))
	f(login.Success{Location: "/home"}, false, redirect("/login?bad=1"))
	f(login.Success{Location: "/home"}, false, redirect("https://elsewhere.example/home"))
	f(login.Success{Location: "/home"}, false, redirect(""))
	f(login.Success{Cookie: "sid"}, true, redirect("/"))
	f(login.Success{Cookie: "session"}, false, redirect("/"))
	f(login.Success{Contains: "body"}, true, redirect("/"))
	f(login.Success{Contains: "Welcome"}, false, redirect("/"))
	f(login.Success{Lacks: "Welcome"}, true, redirect("/"))
	f(login.Success{Lacks: "body"}, false, redirect("/"))
	f(login.Success{Lacks: "body"}, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	f(login.Success{Status: []int{302}, Cookie: "sid", Lacks: "body"}, false, redirect("/"))
}

func TestFormThatFails(t *testing.T) {
	f := func(says string, change func(*login.FormConfig), h http.HandlerFunc) {
		t.Helper()
		c := plainForm()
		change(&c)
		_, err := signIn(t, c, h)
		wantCode(t, err, fault.LoginFailed)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, want %q", err, says)
		}
	}
	withToken := func(c *login.FormConfig) { c.Page, c.TokenField = "/", "csrf" }
	nothing := func(*login.FormConfig) {}
	f(`no input "csrf"`, withToken, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<input name="other" value="x">`) })
	f("page answered 500", withToken, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	f("answered 403", nothing, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) })
	f("broke off", nothing, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// A wrong password is not tried until the portal locks the account.
func TestRefusalIsNotRepeatedAtOnce(t *testing.T) {
	var tries atomic.Int64
	path := filepath.Join(t.TempDir(), "password")
	write := func(s string) {
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := plainForm()
	c.Password, c.PasswordFile = "", path
	origin, dial := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tries.Add(1)
		if r.PostFormValue("p") == "right" {
			w.WriteHeader(http.StatusSeeOther)
		} else {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	write("wrong")
	s, err := login.NewSigner(c, origin, dial)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		_, err := s.SignIn(t.Context(), "Ann")
		wantCode(t, err, fault.LoginFailed)
	}
	if n := tries.Load(); n != 1 {
		t.Errorf("%d tries with the wrong password", n)
	}
	write("right")
	for range 3 {
		if _, err := s.SignIn(t.Context(), "Ann"); err != nil {
			t.Error(err)
		}
	}
}

func TestPatienceGrows(t *testing.T) {
	var p login.PatienceForTest
	now := time.Unix(0, 0)
	for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		if err := p.May("x", now); err != nil {
			t.Fatalf("after %v: %v", now, err)
		}
		p.Heard("x", false, now)
		if p.May("x", now.Add(want-1)) == nil || p.May("x", now.Add(want)) != nil || p.May("y", now) != nil {
			t.Errorf("the wait is not %v", want)
		}
		now = now.Add(want)
	}
	p.Heard("x", true, now)
	if err := p.May("x", now); err != nil {
		t.Error(err)
	}
}

func TestPortalThatIsAway(t *testing.T) {
	s, err := login.NewSigner(plainForm(), "https://127.0.0.1:1", func(context.Context) (net.Conn, error) {
		return nil, fault.New(fault.PortalRefused, "Nobody is there.")
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.SignIn(t.Context(), "Ann")
	wantCode(t, err, fault.PortalRefused)
}

func TestPasswordFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	c := plainForm()
	c.Password, c.PasswordFile = "", path
	f := func(says, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := login.NewSigner(c, "http://127.0.0.1", nil)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter")) {
			t.Errorf("%q, mode %o: %v", text, mode, err)
		}
	}
	if _, err := login.NewSigner(c, "http://127.0.0.1", nil); err == nil {
		t.Error("no file, and no error")
	}
	f("", "hunter2\n", 0o600)
	f("", "hunter2", 0o400)
	f("others may read it", "hunter2\n", 0o640)
	f("others may read it", "hunter2\n", 0o644)
	f("one line", "\n", 0o600)
	f("one line", strings.Repeat("hunter", 1000), 0o600)
}

func TestConfigIsChecked(t *testing.T) {
	form, header := plainForm(), login.HeaderConfig{Name: "X-Remote-User", User: "super"}
	f := func(says string, c login.Config) {
		t.Helper()
		err := c.Validate()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	f("", login.Config{})
	f("", login.Default())
	f("adapter", login.Config{Adapter: "magic"})
	f("", login.Config{Adapter: login.Form, Form: form})
	f("form.action", login.Config{Adapter: login.Form})
	f("form.user", login.Config{Adapter: login.Form})
	f("", login.Config{Adapter: login.Header, Header: header})
	f("header.name: missing", login.Config{Adapter: login.Header})

	formWith := func(change func(*login.FormConfig)) login.Config {
		c := form
		change(&c)
		return login.Config{Adapter: login.Form, Form: c}
	}
	f("form.action", formWith(func(c *login.FormConfig) { c.Action = "https://elsewhere.example/login" }))
	f("form.page", formWith(func(c *login.FormConfig) { c.Page = "//elsewhere.example" }))
	f("form.start", formWith(func(c *login.FormConfig) { c.Start = `/\elsewhere.example` }))
	f("form.password_file", formWith(func(c *login.FormConfig) { c.PasswordFile = "/x" }))
	f("form.token_field", formWith(func(c *login.FormConfig) { c.TokenField = "csrf" }))
	f("form.success:", formWith(func(c *login.FormConfig) { c.Success = login.Success{} }))
	f("form.success.status", formWith(func(c *login.FormConfig) { c.Success.Status = []int{500} }))
	f("form.success.location", formWith(func(c *login.FormConfig) { c.Success.Location = "home" }))

	headerWith := func(change func(*login.HeaderConfig)) login.Config {
		c := header
		change(&c)
		return login.Config{Adapter: login.Header, Header: c}
	}
	f("header.name", headerWith(func(c *login.HeaderConfig) { c.Name = "X Remote" }))
	f("header.name", headerWith(func(c *login.HeaderConfig) { c.Name = "cookie" }))
	f("header.user", headerWith(func(c *login.HeaderConfig) { c.User = "" }))
	f("header.user", headerWith(func(c *login.HeaderConfig) { c.User = "a\nb" }))
	f("header.person", headerWith(func(c *login.HeaderConfig) { c.Person = "x_remote-user" }))
	f("header.start", headerWith(func(c *login.HeaderConfig) { c.Start = "start" }))
}
