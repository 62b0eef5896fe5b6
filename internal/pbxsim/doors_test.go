package pbxsim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"trunkline/internal/pbxsim"
)

func TestHostCheck(t *testing.T) {
	p := start(t, pbxsim.Config{Hosts: []string{"192.168.5.150", "pbx.lan:8088"}})
	_, port, _ := strings.Cut(strings.TrimPrefix(p.URL(), "http://"), ":")
	for host, want := range map[string]int{
		"127.0.0.1:" + port:      200,
		"localhost:" + port:      200,
		"LocalHost:" + port:      200,
		"[::1]:" + port:          200,
		"192.168.5.150":          200,
		"192.168.5.150:80":       200,
		"192.168.5.150:" + port:  200,
		"pbx.lan:8088":           200,
		"pbx.lan":                421,
		"localhost":              421,
		"127.0.0.1:1":            421,
		"evil.example":           421,
		"127.0.0.1.evil.example": 421,
	} {
		for _, path := range []string{"/login", "/test/1kb", "/assets/css/base.css"} {
			res, body := visit(t, p).get(path, "Host", host)
			if res.StatusCode != want {
				t.Errorf("Host %s, %s: status %d, want %d", host, path, res.StatusCode, want)
			}
			if want == 421 {
				has(t, "page for "+host, body, "does not belong to this PBX")
			}
		}
	}
}

func TestOriginCheck(t *testing.T) {
	p := start(t, pbxsim.Config{Hosts: []string{"192.168.5.150"}})
	own := p.URL()
	f := func(method, header, value string, want int) {
		t.Helper()
		v := visit(t, p)
		r := v.request(method, "/test/headers", "")
		if value != "" {
			r.Header.Set(header, value)
		}
		res, _ := v.do(r)
		if res.StatusCode != want {
			t.Errorf("%s with %s %q: status %d, want %d", method, header, value, res.StatusCode, want)
		}
	}
	f("POST", "Origin", own, 200)
	f("POST", "Referer", own+"/maintenance?x=1", 200)
	f("POST", "Origin", "", 200) // no browser
	f("POST", "Origin", "http://evil.example", 403)
	f("POST", "Origin", "null", 403)
	f("POST", "Origin", strings.Replace(own, "http:", "https:", 1), 403)
	f("POST", "Origin", "http://192.168.5.150", 403) // its own name, but not the one it was asked by
	f("POST", "Referer", "http://evil.example/"+own, 403)
	f("PUT", "Origin", "http://evil.example", 403)
	f("DELETE", "Origin", "http://evil.example", 403)
	f("GET", "Origin", "http://evil.example", 200) // reading is CORS's business

	// A default port is the same origin with and without its number.
	v := visit(t, p)
	res, _ := v.do(v.request("POST", "/test/headers", "", "Host", "192.168.5.150", "Origin", "http://192.168.5.150:80"))
	status(t, res, 200)

	// A WebSocket's handshake is a GET and still checked.
	res, body := v.get("/ws/echo", "Upgrade", "websocket", "Connection", "Upgrade", "Origin", "http://evil.example")
	status(t, res, http.StatusForbidden)
	has(t, "refusal", body, "another site")
}

func TestFormsChangeThePortal(t *testing.T) {
	t.Parallel()
	p := start(t, pbxsim.Config{})
	v := visit(t, p)
	_, page := v.signIn("support", "plain secret")
	res, body := v.post("/extensions/1003", url.Values{"csrf": {token(t, page)}, "name": {"<Carla> O'Neil"}})
	status(t, res, 200)
	has(t, "extensions", body, "&lt;Carla&gt; O&#39;Neil", "The extension was renamed.")

	res, _ = v.post("/extensions/1003", url.Values{"csrf": {"forged"}, "name": {"x"}})
	status(t, res, 403)
	res, _ = v.post("/extensions/9999", url.Values{"csrf": {token(t, page)}, "name": {"x"}})
	status(t, res, 400)
	res, _ = v.post("/extensions/1003", url.Values{"csrf": {token(t, page)}, "name": {strings.Repeat("x", 1<<20)}})
	status(t, res, 403) // over the bound of a form: not even its token is read
}
