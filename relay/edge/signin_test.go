package edge_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
	"trunkline/relay/edge"
)

// signInWorld is a world whose handovers give passwordless visits, and whose
// agent answers sign-ins as answer says.
func signInWorld(t *testing.T, answer func() (tunnel.Login, error)) *world {
	return newWorld(t, httpPortal(t, echo), func(o *edge.Options) {
		o.Redeem = func(context.Context, string, id.Site, netip.Addr) (edge.Guest, error) {
			return edge.Guest{Visit: token.Visit{ID: "vis_0123456789abcdef", Site: "pbx-one", Who: "Ann", Method: token.MethodPasswordless}, Cookie: "good"}, nil
		}
		o.Login = func(ctx context.Context, d id.Device, v token.Visit) (tunnel.Login, error) {
			if _, ok := ctx.Deadline(); !ok || d != "dev_0123456789abcdef" || v.Who != "Ann" {
				t.Errorf("asked for %+v at %s", v, d)
			}
			return answer()
		}
	})
}

func (w *world) handOver(cookies string) (*http.Response, string) {
	w.t.Helper()
	r := w.request("POST", "/.trunkline/visit", strings.NewReader(url.Values{"handover": {"fresh"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", console)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Cookie", cookies)
	return w.do(w.client(), r)
}

func TestSignIn(t *testing.T) {
	w := signInWorld(t, func() (tunnel.Login, error) {
		return tunnel.Login{Location: "/start?a=b", Cookies: []tunnel.Cookie{
			{Name: "sid", Value: "s1", Path: "/", HTTPOnly: true, SameSite: "lax", MaxAge: 60},
			{Name: "lang", Value: "en", SameSite: "none"},
			{Name: "__Host-trunkline-visit", Value: "another's"},
		}}, nil
	})
	resp, body := w.handOver("")
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "/start?a=b" {
		t.Fatalf("%d, %v, %s", resp.StatusCode, resp.Header, body)
	}
	set := resp.Header.Values("Set-Cookie")
	for _, want := range []string{
		cookie + "; Path=/; Secure; HttpOnly; SameSite=Lax", "sid=s1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax", "lang=en; Path=/; Secure; SameSite=None",
	} {
		if !slices.Contains(set, want) {
			t.Errorf("%q is not in %q", want, set)
		}
	}
	if len(set) != 4 {
		t.Errorf("set %q", set)
	}

	// The next visit begins without what this one was given.
	i := slices.IndexFunc(set, func(s string) bool { return strings.HasPrefix(s, "__Host-trunkline-login=") })
	if i < 0 {
		t.Fatalf("nothing remembers the sign-in: %q", set)
	}
	remembered, _, _ := strings.Cut(set[i], ";")
	resp, _ = w.handOver("a=b; " + remembered)
	set = resp.Header.Values("Set-Cookie")
	gone := slices.Index(set, "sid=; Path=/; Max-Age=0; Secure")
	anew := slices.Index(set, "sid=s1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax")
	if gone < 0 || anew < gone {
		t.Errorf("set %q", set)
	}
	// Nor does the portal learn of it, or the visit's end leave it.
	r := w.request("GET", "/", nil)
	r.Header.Set("Cookie", cookie+"; "+remembered)
	if _, body := w.do(w.client(), r); strings.Contains(body, "trunkline") {
		t.Errorf("the portal saw %q", body)
	}
	r = w.request("POST", "/.trunkline/end", nil)
	r.Header.Set("Cookie", cookie+"; "+remembered)
	r.Header.Set("Origin", "https://"+site)
	resp, _ = w.do(w.client(), r)
	if !slices.Contains(resp.Header.Values("Set-Cookie"), "sid=; Path=/; Max-Age=0; Secure") {
		t.Errorf("at the end: %q", resp.Header.Values("Set-Cookie"))
	}
}

func TestSignInThatFails(t *testing.T) {
	f := func(code fault.Code, says string, answer func() (tunnel.Login, error)) {
		t.Helper()
		w := signInWorld(t, answer)
		resp, body := w.handOver("")
		if resp.StatusCode != fault.Status(code) || !strings.Contains(body, string(code)) || !strings.Contains(body, says) {
			t.Errorf("%d %s, want %s and %q", resp.StatusCode, body, code, says)
		}
		if set := resp.Header.Values("Set-Cookie"); len(set) != 0 {
			t.Errorf("a visit that did not begin set %q", set)
		}
		select {
		case v := <-w.endedBy:
			if v.ID != "vis_0123456789abcdef" {
				t.Errorf("ended %s", v.ID)
			}
		default:
			t.Error("the visit goes on")
		}
	}
	fails := func(err error) func() (tunnel.Login, error) {
		return func() (tunnel.Login, error) { return tunnel.Login{}, err }
	}
	leads := func(to string) func() (tunnel.Login, error) {
		return func() (tunnel.Login, error) { return tunnel.Login{Location: to}, nil }
	}
	f(fault.LoginFailed, "account login", fails(fault.New(fault.LoginFailed, "The portal did not let it in.")))
	f(fault.Forbidden, "account login", fails(fault.New(fault.Forbidden, "Switched off.")))
	f(fault.NotConnected, "", fails(fault.New(fault.NotConnected, "It has gone.")))
	f(fault.LoginFailed, "", leads("https://evil.test/"))
	f(fault.LoginFailed, "", leads("//evil.test"))
	f(fault.LoginFailed, "", leads(""))
}

// What a browser sends as remembered sets nothing but endings.
func TestForgedMemory(t *testing.T) {
	w := newWorld(t, httpPortal(t, echo))
	for _, names := range []string{`[["a; Domain=test","/"]]`, `[["a","/; Domain=test"]]`, `[["__Host-trunkline-visit","/"]]`, `[["",""]]`, `{`, `[["a"]]`, `[["a\r\nX: y","/"]]`} {
		resp, body := w.handOver("__Host-trunkline-login=" + base64.RawURLEncoding.EncodeToString([]byte(names)))
		if resp.StatusCode != 303 || resp.Header.Get("X") != "" {
			t.Errorf("%s: %d %s", names, resp.StatusCode, body)
		}
		for _, s := range resp.Header.Values("Set-Cookie") {
			if strings.Contains(s, "Domain") || strings.HasPrefix(s, "__Host-trunkline-visit") && !strings.HasPrefix(s, cookie+";") {
				t.Errorf("%s set %q", names, s)
			}
		}
	}
}
