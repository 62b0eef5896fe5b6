package pbxsim_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"trunkline/internal/pbxsim"
)

func noRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func TestSignIn(t *testing.T) {
	p := start(t, pbxsim.Config{Hosts: []string{"192.168.5.150"}})
	v := visit(t, p)

	res, page := v.get("/cdr?page=2") // a stranger gets the sign-in page, and comes back here after it
	if got := res.Request.URL.Path; got != "/login" {
		t.Fatalf("a stranger was sent to %s", got)
	}
	guard := res.Cookies()
	if len(guard) != 1 || guard[0].Domain != "127.0.0.1" || guard[0].Path != "/" {
		t.Errorf("the form's cookie is %v, want Domain=127.0.0.1; Path=/", guard)
	}

	v.CheckRedirect = noRedirects
	res, body := v.post("/login", url.Values{"csrf": {token(t, page)}, "username": {"root"}, "password": {"guess"}})
	status(t, res, http.StatusForbidden)
	has(t, "wrong password", body, "Wrong username or password.", `value="root"`)
	hasNot(t, "wrong password", body, "guess")

	res, _ = v.post("/login", url.Values{
		"csrf": {token(t, body)}, "username": {"root"}, "password": {"super secret"}, "next": {"/cdr?page=2"},
	})
	status(t, res, http.StatusSeeOther)
	if got, want := res.Header.Get("Location"), p.URL()+"/cdr?page=2"; got != want {
		t.Errorf("Location %q, want the absolute %q", got, want)
	}
	if c := res.Cookies(); len(c) != 1 || c[0].Path != "/" || c[0].Domain != "" || !c[0].HttpOnly {
		t.Errorf("session cookie %v", c)
	}
	for range 3 {
		res, body = v.get("/")
		status(t, res, 200)
		has(t, "dashboard", body, `<strong id="whoami">root</strong>`, "Super administrator")
	}

	res, _ = v.post("/logout", url.Values{"csrf": {"not it"}})
	status(t, res, http.StatusForbidden)
	res, _ = v.post("/logout", url.Values{"csrf": {token(t, body)}})
	status(t, res, http.StatusSeeOther)
	if res, _ = v.get("/"); res.StatusCode != http.StatusFound || res.Header.Get("Location") != p.URL()+"/login" {
		t.Errorf("signed out, / answers %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

func TestSignInNeedsItsForm(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	res, body := v.post("/login", url.Values{"username": {"root"}, "password": {"super secret"}})
	status(t, res, http.StatusForbidden)
	has(t, "without the form", body, "expired")
	if res, _ = v.get("/"); res.Request.URL.Path != "/login" {
		t.Errorf("signed in without the form's token")
	}
}

func TestNextStaysOnThePortal(t *testing.T) {
	p := start(t, pbxsim.Config{})
	for _, next := range []string{"https://evil.example/", "//evil.example/", `/\evil.example`, "javascript:alert(1)", "/login", "", "evil", "/%0d%0ax\r\ny"} {
		v := visit(t, p)
		v.CheckRedirect = noRedirects
		_, page := v.get("/login")
		res, _ := v.post("/login", url.Values{
			"csrf": {token(t, page)}, "username": {"root"}, "password": {"super secret"}, "next": {next},
		})
		if got := res.Header.Get("Location"); got != p.URL()+"/" {
			t.Errorf("next %q led to %q", next, got)
		}
	}
}

func TestRedirectsUseTheHostThePortalBelievesIn(t *testing.T) {
	p := start(t, pbxsim.Config{Hosts: []string{"192.168.5.150"}})
	v := visit(t, p)
	v.CheckRedirect = noRedirects
	res, _ := v.get("/", "Host", "192.168.5.150")
	if got := res.Header.Get("Location"); got != "http://192.168.5.150/login" {
		t.Errorf("by the LAN address: %q", got)
	}

	v = visit(t, start(t, pbxsim.Config{AbsoluteHost: "pbx.lan:8088"}))
	v.CheckRedirect = noRedirects
	res, _ = v.get("/")
	if got := res.Header.Get("Location"); got != "http://pbx.lan:8088/login" {
		t.Errorf("with AbsoluteHost: %q", got)
	}
	res, _ = v.get("/login", "Host", "pbx.lan:8088")
	status(t, res, 200)
}

func TestAdministratorHasFewerRights(t *testing.T) {
	p := start(t, pbxsim.Config{})
	admin, super := visit(t, p), visit(t, p)

	_, page := admin.signIn("support", "plain secret")
	has(t, "Administrator's dashboard", page, `<strong id="whoami">support</strong>`, ">Administrator<", "Maintenance")
	hasNot(t, "Administrator's dashboard", page, "Operation logs")
	res, body := admin.get("/oplog")
	status(t, res, http.StatusForbidden)
	has(t, "operation logs", body, "for the super administrator")

	_, page = super.signIn("root", "super secret")
	has(t, "super administrator's dashboard", page, "Operation logs")
	res, body = super.get("/oplog")
	status(t, res, 200)
	has(t, "operation logs", body, "Signed in as Administrator", "Refused: operation logs", "127.0.0.1")
}

func TestOperationLogNamesWhoWhatAndWhence(t *testing.T) {
	p := start(t, pbxsim.Config{})
	v := visit(t, p)
	v.signIn("root", "wrong")
	v.signIn("root", "super secret")
	v.get("/recordings")
	v.get("/recordings/3/download?size=10")
	v.get("/trunks", "X-Forwarded-For", "203.0.113.9") // nobody's word on where the client is
	var got []string
	for _, op := range p.Operations() {
		if op.Who != "root" || op.Client != "127.0.0.1" || op.Time.IsZero() {
			t.Errorf("operation %+v", op)
		}
		got = append(got, op.What)
	}
	want := []string{
		"Sign-in refused: wrong username or password", "Signed in as Super administrator", "Viewed Dashboard",
		"Viewed Recordings", "Downloaded recording 3", "Viewed Trunks",
	}
	if !slices.Equal(got, want) {
		t.Errorf("operations\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestOperationLogIsBounded(t *testing.T) {
	p := start(t, pbxsim.Config{})
	v := visit(t, p)
	v.signIn("root", "super secret")
	for range 1100 {
		v.get("/recordings/1/download?size=0")
	}
	if n := len(p.Operations()); n > 1000 || n < 900 {
		t.Errorf("%d operations kept", n)
	}
}
