package pbxsim_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"trunkline/internal/pbxsim"
)

func TestPersonIsNamed(t *testing.T) {
	p := start(t, pbxsim.Config{})
	f := func(user, password, who string) {
		t.Helper()
		v := visit(t, p)
		_, page := v.get("/login")
		res, _ := v.post("/login", url.Values{
			"csrf": {token(t, page)}, "username": {user}, "password": {password}, "on_behalf_of": {"Ann <ann@example.com>"},
		})
		status(t, res, 200)
		_, body := v.get("/")
		if got := strings.Contains(body, "Ann &lt;ann@example.com&gt;"); got != strings.Contains(who, "Ann") {
			t.Errorf("%s: the page names the person: %v", user, got)
		}
		all := p.Operations()
		if last := all[len(all)-1]; last.Who != who || last.What != "Viewed Dashboard" {
			t.Errorf("logged %+v, want %q", last, who)
		}
	}
	f("root", "super secret", "root for Ann <ann@example.com>")
	f("support", "plain secret", "support") // an Administrator is one person
}

func TestTrustedHeader(t *testing.T) {
	p := start(t, pbxsim.Config{TrustedHeader: "X-Remote-User", PersonHeader: "X-Remote-Person"})
	get := func(remote string, headers ...string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, p.URL()+"/oplog", nil)
		r.RemoteAddr = remote
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, r)
		b, _ := io.ReadAll(w.Body)
		return w.Code, string(b)
	}
	get("127.0.0.1:1000", "X-Remote-User", "root", "X-Remote-Person", "Ann")
	code, body := get("127.0.0.1:1000", "X-Remote-User", "root", "X-Remote-Person", "Ann")
	if code != 200 || !strings.Contains(body, "root for Ann") || !strings.Contains(body, "Super administrator") {
		t.Errorf("%d %s", code, body)
	}
	for name, c := range map[string][]string{
		"elsewhere": {"192.0.2.1:1000", "X-Remote-User", "root"},
		"other":     {"127.0.0.1:1000", "X-Remote-User", "support"},
		"nobody":    {"127.0.0.1:1000"},
		"person":    {"127.0.0.1:1000", "X-Remote-Person", "Ann"},
	} {
		if code, _ := get(c[0], c[1:]...); code != http.StatusFound {
			t.Errorf("%s: %d", name, code)
		}
	}
}

func TestNoHeaderIsTrustedByItself(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/oplog", nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Remote-User", "root")
	p := start(t, pbxsim.Config{Hosts: []string{r.Host}})
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusFound {
		t.Errorf("answered %d", w.Code)
	}
}
