package page_test

import (
	"bytes"
	"encoding/pem"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/manage"
	"trunkline/agent/page"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const hostile = `"><script>alert(1)</script>'&`

func TestSave(t *testing.T) {
	w := newWorld(t)
	c := w.inside()
	a := w.post(c, "/save", filled(func(f url.Values) {
		f.Set("passwordless", "on")
		f.Set("account_user", "remote")
		f.Set("account_password", "long enough")
		f.Set("auto_logout", "20")
	}))
	if a.status != http.StatusSeeOther || a.head.Get("Location") != "/?done=connected" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.desk.mu.Lock()
	s, q := w.desk.settings, w.desk.changes[0].Connect
	w.desk.mu.Unlock()
	if !s.Passwordless || s.AutoLogout != 20 || s.Account == nil || !manage.Matches(s.Account.Secret, "long enough") || q.Server != "console.example.com" {
		t.Errorf("%+v %+v", s, q)
	}
	// Without a secret nothing is connected, and the account keeps its password.
	a = w.post(c, "/save", filled(func(f url.Values) {
		f.Set("password", "")
		f.Set("account_user", "remote")
		f.Set("auto_logout", "5")
	}))
	w.desk.mu.Lock()
	last := w.desk.changes[len(w.desk.changes)-1]
	kept := w.desk.settings.Account
	w.desk.mu.Unlock()
	if a.head.Get("Location") != "/?done=saved" || last.Connect != nil || kept == nil || kept.Secret != s.Account.Secret {
		t.Errorf("%d, connect %+v, account %+v", a.status, last.Connect, kept)
	}
	if a := w.get(c, "/?done=saved"); !strings.Contains(a.body, "Saved.") || strings.Contains(a.body, "argon2") {
		t.Error("not said, or too much")
	}
	if a := w.get(c, "/?done="+url.QueryEscape(hostile)); strings.Contains(a.body, "<script>alert") {
		t.Error("the address is shown")
	}
}

// The page says what an account there is on the PBX.
func TestAccountHint(t *testing.T) {
	w := newWorld(t)
	c := w.inside()
	const told, not = "The PBX is told when this is saved.", "The PBX is not told: make this account there yourself."
	if a := w.get(c, "/"); !strings.Contains(a.body, not) || strings.Contains(a.body, told) || strings.Contains(a.body, "account-doubt") {
		t.Error("it does not say that the PBX is not told")
	}
	w.desk.set(func(v *manage.View) { v.AccountTold = true })
	if a := w.get(c, "/"); !strings.Contains(a.body, told) || strings.Contains(a.body, not) || strings.Contains(a.body, "account-doubt") {
		t.Error("it does not say that the PBX is told")
	}
	w.desk.set(func(v *manage.View) { v.AccountDoubt = "A change was cut off " + hostile })
	if a := w.get(c, "/"); !strings.Contains(a.body, `id="account-doubt">A change was cut off`) || strings.Contains(a.body, "<script>alert") {
		t.Error("the doubt is not shown as words")
	}
}

// What is wrong is said in words beside its field; nothing is changed, what was
// typed is still there, and no secret is.
func TestSaveRefused(t *testing.T) {
	w := newWorld(t)
	c := w.inside()
	f := func(field, words string, status int, change func(url.Values)) {
		t.Helper()
		a := w.post(c, "/save", filled(func(f url.Values) {
			f.Set("account_user", "remote")
			f.Set("account_password", "sesame-sesame")
			change(f)
		}))
		if a.status != status || !strings.Contains(a.body, words) {
			t.Errorf("%s: %d, without %q", field, a.status, words)
		}
		if field != "" && !strings.Contains(a.body, `aria-describedby="`+field+`-note"`) {
			t.Errorf("%s: the field is not marked", field)
		}
		if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "sesame") || strings.Contains(a.body, `value="right"`) {
			t.Errorf("%s: too much is shown", field)
		}
		if n := w.desk.changed(); n != 0 {
			t.Fatalf("%s: %d changes", field, n)
		}
	}
	const bad = http.StatusUnprocessableEntity
	for _, s := range []struct{ typed, words string }{
		{"", "missing"}, {"http://console.example.com", "must begin with https://"}, {"ftp://x", "must begin with https://"},
		{"console.example.com/path", "behind the host"}, {"console.example.com?x=1", "behind the host"}, {"me@console.example.com", "an @"},
		{"console.example.com:99999", "1 to 65535"}, {"console.example.com:", "port is missing"}, {"https://", "no host"},
		{"con sole", "space"}, {hostile, "."}, {"c\u043ensole.example.com", "no host has"}, {strings.Repeat("a", 400), "too long"}, {"a\r\nb", "line break"},
	} {
		f("server", s.words, bad, func(v url.Values) { v.Set("server", s.typed) })
	}
	f("email", "e-mail address", bad, func(v url.Values) { v.Set("email", hostile) })
	f("email", "missing", bad, func(v url.Values) { v.Set("email", "") })
	f("password", "missing", bad, func(v url.Values) { v.Set("password", "") })
	f("code", "missing", bad, func(v url.Values) { v.Set("method", "code") })
	f("code", "no authentication code", bad, func(v url.Values) { v.Set("method", "code"); v.Set("code", strings.Repeat("A", 65)) })
	f("server_type", "server type", bad, func(v url.Values) { v.Set("server_type", "telepathy") })
	f("method", "activation method", bad, func(v url.Values) { v.Set("method", "telepathy") })
	f("model", "missing", bad, func(v url.Values) { v.Set("model", " ") })
	f("firmware", "at most", bad, func(v url.Values) { v.Set("firmware", strings.Repeat("9", 101)) })
	f("auto_logout", "5 to 120", bad, func(v url.Values) { v.Set("auto_logout", "121") })
	f("auto_logout", "whole number", bad, func(v url.Values) { v.Set("auto_logout", "ten") })
	f("account_user", "super administrator", bad, func(v url.Values) { v.Set("account_user", "SUPER") })
	f("account_user", "cannot be seen", bad, func(v url.Values) { v.Set("account_user", "a\x00b") })
	f("account_password", "at least 8", bad, func(v url.Values) { v.Set("account_password", "short") })
	f("account_password", "missing", bad, func(v url.Values) { v.Set("account_password", "") })
	f("ca", "no certificate", bad, func(v url.Values) { v.Set("ca", hostile) })
	f("ca", "private key", bad, func(v url.Values) { v.Set("ca", "-----BEGIN PRIVATE KEY-----") })
	f("", "rejected", http.StatusForbidden, func(v url.Values) { v.Set("password", "wrong") })
}

// The CA comes as a file too.
func TestSaveCAFile(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	w := newWorld(t)
	c := w.inside()
	send := func(file []byte) answer {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		for k, v := range filled(nil) {
			_ = m.WriteField(k, v[0])
		}
		part, _ := m.CreateFormFile("ca_file", "../../etc/ca.pem")
		_, _ = part.Write(file)
		_ = m.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.base+"/save", &b)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", m.FormDataContentType())
		return w.do(c, r)
	}
	if a := send(bytes.Repeat([]byte("x"), 100<<10)); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "too large") {
		t.Errorf("%d", a.status)
	}
	if a := send(bytes.Repeat([]byte("x"), 400<<10)); a.status != http.StatusRequestEntityTooLarge || w.desk.changed() != 0 {
		t.Errorf("%d", a.status)
	}
	if a := send(ca); a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := w.desk.changes[0].Connect.CA; got != string(ca) {
		t.Errorf("%q", got)
	}
}

func TestHostileForms(t *testing.T) {
	w := newWorld(t)
	c := w.inside()
	for kind, body := range map[string]string{
		"multipart/form-data":               "no boundary",
		"multipart/form-data; boundary=x":   "--x\r\nContent-Disposition: form-data; name=\"a",
		"application/x-www-form-urlencoded": "server=%zz",
		"application/json":                  `{"to":"off"}`,
		"":                                  "to=off",
	} {
		for _, path := range []string{"/save", "/access", "/visits/end"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.base+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", kind)
			if a := w.do(c, r); a.status < 400 || a.status >= 500 {
				t.Errorf("%s as %q: %d", path, kind, a.status)
			}
		}
	}
	big := w.post(c, "/access", url.Values{"to": {"off"}, "x": {strings.Repeat("x", 200<<10)}})
	if big.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large form: %d", big.status)
	}
	if a := w.post(c, "/visits/end", url.Values{"visit": {hostile}}); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
	if n := w.desk.changed(); n != 0 {
		t.Errorf("%d changes", n)
	}
}

// Words of the provider's and of visitors are shown as words.
func TestShown(t *testing.T) {
	w := newWorld(t)
	c := w.inside()
	v := id.NewVisit()
	w.desk.set(func(x *manage.View) {
		x.Status = manage.Status{State: manage.ServerUnreachable, Reason: hostile, Account: hostile, Name: hostile, Server: hostile,
			Tried: 3, TriedAt: "r1.example.com:443", NextTry: time.Now().Add(time.Minute), Since: time.Now()}
		x.Now = []manage.Visit{{ID: v, Who: hostile, Method: "passwordless", From: time.Now()}}
		for range 30 {
			x.Past = append(x.Past, manage.Visit{ID: id.NewVisit(), Who: "Ann", Method: "account", From: time.Now(), To: time.Now()})
		}
		x.Past[0].Code, x.Past[1].Code = fault.VisitIdle, "visit_ended_by_the_<b>moon</b>"
	})
	for _, path := range []string{"/", "/live"} {
		a := w.get(c, path)
		if strings.Contains(a.body, "<script>alert") {
			t.Errorf("%s: not escaped", path)
		}
		for _, want := range []string{"Server unreachable", "3 attempts, the last at r1.example.com:443", "Next try", "Passwordless Login", "Account Login", "20 of 30",
			fault.Ending(fault.VisitIdle), "visit_ended_by_the_&lt;b&gt;moon"} {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
	tag := w.get(c, "/live").head.Get("ETag")
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+"/live", http.NoBody)
	r.Header.Set("If-None-Match", tag)
	if a := w.do(c, r); a.status != http.StatusNotModified {
		t.Errorf("nothing changed: %d", a.status)
	}
	if a := w.post(c, "/visits/end", url.Values{"visit": {string(v)}}); a.head.Get("Location") != "/?done=ended" || len(w.desk.ended) != 1 {
		t.Errorf("%d", a.status)
	}
	if a := w.post(c, "/visits/end", url.Values{"visit": {string(v)}}); a.status != fault.Status(fault.NotFound) || !strings.Contains(a.body, "no such visit") {
		t.Errorf("%d", a.status)
	}
	if a := w.post(c, "/access", url.Values{"to": {"off"}}); a.head.Get("Location") != "/?done=access-off" {
		t.Errorf("%d", a.status)
	}
	if a := w.get(c, "/"); !strings.Contains(a.body, "Turn remote access on") {
		t.Error("no way back on")
	}
}

func TestConfig(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:9700": "loopback", ":9700": "loopback", "192.0.2.1:1": "loopback", "example.com:1": "loopback", "9700": "missing port",
		"127.0.0.1:9700": "", "[::1]:0": "", "localhost:9700": "", "off": "",
	} {
		err := page.Config{Listen: listen}.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", listen, err)
		}
	}
	for _, h := range []string{"", "a/b", "https://x", "a:1", "*"} {
		if (page.Config{Listen: "127.0.0.1:0", Hosts: []string{h}}).Validate() == nil {
			t.Errorf("%q taken", h)
		}
	}
	if _, err := page.New(page.Config{Listen: "192.0.2.1:1"}, newDesk(), page.Password{}, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "page.listen") {
		t.Error(err)
	}
}
