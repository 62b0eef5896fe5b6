package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/net/html"

	"trunkline/control/console"
	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// evil are texts that a PBX, a visitor or a browser may send.
var evil = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`' onfocus='alert(1)' autofocus='`,
	`</title></textarea><svg/onload=alert(1)>`,
	`{{.}} ${7*7} <%= 1 %>`,
	"new\r\nline\x00nul\x1b[31mescape\x7f",
	"\u202egnp.exe\u2066 \u200f",
	"\xff\xfe not UTF-8",
	strings.Repeat("W", 20_000),
	strings.Repeat("👩‍👩‍👧‍👦", 1_000),
	"javascript:alert(1)",
	"مقسم الهاتف",
}

// hostile has text wherever a text comes from outside.
func hostile(text string) *fake {
	f := sample()
	f.who.Name, f.sub.Holder, f.sub.Status = text, text, text
	for i := range f.devices {
		d := &f.devices[i]
		d.Name, d.Model, d.Firmware = text, text, text
		d.Presence.Remote, d.Presence.Agent, d.Presence.Reason = text, text, fault.Code(text)
	}
	for i := range f.visits {
		v := &f.visits[i]
		v.Who, v.DeviceName, v.Remote = text, text, text
		if !v.Ended.IsZero() {
			v.EndCode = fault.Code(text)
		}
	}
	for i := range f.audit {
		e := &f.audit[i]
		e.Actor, e.Remote, e.Action, e.Object, e.Outcome, e.Detail = text, text, text, text, text, text
	}
	return f
}

var pagePaths = []string{
	"GET /", "GET /?q=%s", "GET /audit?q=%s", "GET /visits", "GET /visits?cursor=%s", "GET /me?cursor=%s", "GET /devices/" + string(deviceID(2)),
	"GET /devices/" + string(deviceID(2)) + "/remove", "GET /devices/%s", "GET /visit/pbx-00000002", "GET /visit/%s", "GET /?status=%s",
	"GET /?notice=%s", "GET /?cursor=%s", "POST /sign-in", "GET /sign-in?next=%s", "POST /devices/" + string(deviceID(1)) + "/visit", "GET /%s", "GET /live?id=%s",
	"GET /visits?on_cursor=%s&on_from=%s", "GET /visits?device=%s", "GET /visits?user=%s", "GET /devices/" + string(deviceID(2)) + "?events=%s",
	"GET /audit?action=%s&actor=%s", "GET /audit?outcome=%s", "GET /audit?from_day=%s", "GET /audit?to_day=%s", "GET /user-devices?account=%s",
}

// Whatever is in the data, the page has no element, attribute or address that
// its template has not, and no character that acts instead of showing.
func TestHostileData(t *testing.T) {
	for _, text := range evil {
		for _, p := range pagePaths {
			method, path, _ := strings.Cut(p, " ")
			q := text
			if len(q) > 3000 {
				q = q[:3000]
			}
			path = strings.ReplaceAll(path, "%s", url.PathEscape(q))
			if path == "/live?id=" {
				continue
			}
			f := hostile(text)
			form := url.Values{"email": {q}, "password": {"x"}, "next": {q}}
			f.fail["StartVisit"] = fault.New(fault.NotConnected, "%s is not connected.", text)
			w := ask(newConsole(t, f), method, path, form)
			if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
				t.Errorf("%s with %.40q: status %d", p, text, w.Code)
			}
			if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
				continue
			}
			inspect(t, p+" with "+text[:min(len(text), 30)], w.Body.String())
		}
	}
}

var (
	handlers = regexp.MustCompile(`^on`)
	acting   = regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
)

func inspect(t *testing.T, what, body string) {
	t.Helper()
	if len(body) > 200_000 {
		t.Errorf("%s: a page of %d bytes", what, len(body))
	}
	if m := acting.FindString(body); m != "" {
		t.Errorf("%s: character %q in the page", what, m)
	}
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "style" || n.Data == "svg" || n.Data == "iframe" || n.Data == "script" && n.FirstChild != nil {
			t.Errorf("%s: element <%s>", what, n.Data)
		}
		for _, a := range n.Attr {
			if handlers.MatchString(a.Key) || a.Key == "style" {
				t.Errorf("%s: attribute %s=%q", what, a.Key, a.Val)
			}
			if (a.Key == "href" || a.Key == "src" || a.Key == "action") && !strings.HasPrefix(a.Val, "/") && a.Val != "#main" {
				t.Errorf("%s: %s=%q", what, a.Key, a.Val)
			}
			if strings.HasPrefix(a.Val, "//") {
				t.Errorf("%s: %s=%q", what, a.Key, a.Val)
			}
		}
	}
}

// An internal error tells its reference and nothing of itself; the log has both.
func TestInternalError(t *testing.T) {
	for _, c := range []struct{ method, path, breaks string }{
		{"Devices", "/", "Devices"}, {"Authenticate", "/", "Authenticate"}, {"Visits", "/visits", "Visits"}, {"Audit", "/audit", "Audit"},
		{"Device", "/devices/" + string(deviceID(1)), "Device"}, {"SiteDevice", "/visit/pbx-00000001", "SiteDevice"},
	} {
		f := sample()
		f.fail[c.breaks] = errors.New("disk full at /var/lib")
		core, logs := observer.New(zap.InfoLevel)
		h, err := console.New(console.Options{Fleet: f, Zone: "relay.example", Log: zap.New(core)})
		if err != nil {
			t.Fatal(err)
		}
		w := ask(h, "GET", c.path, nil)
		body := w.Body.String()
		if w.Code != 500 || strings.Contains(body, "disk full") || !strings.Contains(body, "internal") {
			t.Errorf("%s: %d %s", c.breaks, w.Code, body)
		}
		found := false
		for _, e := range logs.FilterLevelExact(zap.ErrorLevel).All() {
			ref, _ := e.ContextMap()["ref"].(string)
			found = found || ref != "" && strings.Contains(body, ref)
		}
		if !found {
			t.Errorf("%s: the page's reference is not in the log", c.breaks)
		}
	}
}

// Without the subscription a page shows less, and shows.
func TestHeaderWithoutSubscription(t *testing.T) {
	f := sample()
	f.fail["Subscription"] = errors.New("away")
	if w := ask(newConsole(t, f), "GET", "/", nil); w.Code != 200 || !strings.Contains(w.Body.String(), "Harbour Hotel") {
		t.Errorf("status %d", w.Code)
	}
}

func TestPanicIsAnErrorPage(t *testing.T) {
	f := sample()
	h, err := console.New(console.Options{Fleet: brokenFleet{f}, Zone: "relay.example"})
	if err != nil {
		t.Fatal(err)
	}
	w := ask(h, "GET", "/visit/pbx-00000001", nil)
	if w.Code != 500 || !strings.Contains(w.Body.String(), "Reference") || strings.Contains(w.Body.String(), "BUG") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The command is there to be copied into a shell.
func TestConnectCommand(t *testing.T) {
	for email, want := range map[string]string{
		"ada+pbx@acme.example": "--email ada&#43;pbx@acme.example ", "a$(reboot)@acme.example": "--email EMAIL ", "a'b@acme.example": "--email EMAIL ",
		"-x`id`@acme.example": "--email EMAIL ",
	} {
		f := newFake()
		f.who.Email = email
		if body := ask(newConsole(t, f), "GET", "/", nil).Body.String(); !strings.Contains(body, want) {
			t.Errorf("%s: no %q", email, want)
		}
	}
}

// Secrets stay out of the log: what was typed, the cookie, the handover.
func TestNoSecretsInTheLog(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	h, err := console.New(console.Options{Fleet: sample(), Zone: "relay.example", Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	ask(h, "POST", "/sign-in", url.Values{"email": {goodEmail}, "password": {goodSecret}})
	ask(h, "POST", "/sign-in", url.Values{"email": {goodEmail}, "password": {"almost " + goodSecret}})
	ask(h, "POST", "/devices/"+string(deviceID(1))+"/visit", nil)
	ask(h, "GET", "/?q=private", nil)
	if logs.Len() < 4 {
		t.Errorf("%d events for 4 requests", logs.Len())
	}
	for _, e := range logs.All() {
		for k, v := range e.ContextMap() {
			s, _ := v.(string)
			for _, secret := range []string{goodSecret, goodToken, handover, "session-1", "private", goodEmail} {
				if strings.Contains(s, secret) {
					t.Errorf("log field %s has %q", k, secret)
				}
			}
		}
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string]string{"a\x00b": "a\uFFFDb", "ok": "ok", "\u202eabc": "\uFFFDabc", strings.Repeat("é", 200): strings.Repeat("é", 160) + "…"} {
		if got := console.PlainForTest(in); got != want {
			t.Errorf("plain(%q) = %q", in, got)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Hour: "just now", 59 * time.Second: "59 seconds ago", time.Minute: "1 minute ago", 90 * time.Minute: "1 hour ago",
		49 * time.Hour: "2 days ago", 90 * 24 * time.Hour: "on 2026-08-25",
	} {
		if got := console.AgoForTest(noon, noon.Add(-d)); got != want {
			t.Errorf("ago(%s) = %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1234: "1,234", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := console.NumberForTest(n); got != want {
			t.Errorf("number(%d) = %q", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 48_200: "48 kB", 999_600: "1.0 MB", 7_340_032: "7.3 MB", 5e12: "5 TB"} {
		if got := console.BytesForTest(n); got != want {
			t.Errorf("bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for in, want := range map[string]int{strings.Repeat("é", 80): 100, " x ": 1, "a\nb": 3} {
		if got := console.SearchForTest(in); len(got) != want {
			t.Errorf("search(%.10q) has %d bytes, want %d", in, len(got), want)
		}
	}
}

type brokenFleet struct{ *fake }

func (brokenFleet) SiteDevice(context.Context, fleet.Principal, id.Site) (fleet.Device, error) {
	panic("BUG: on purpose")
}
