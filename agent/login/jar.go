package login

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"trunkline/internal/tunnel"
)

// jar holds the cookies of one sign-in, with all that the portal said of them:
// a browser is to have them as if it had got them itself. There is one host, so
// Domain does not matter.
type jar struct{ cookies []tunnel.Cookie }

// take is RFC 6265, section 5.3, for one host.
func (j *jar) take(resp *http.Response, now time.Time) {
	for _, c := range resp.Cookies() {
		t := tunnel.Cookie{
			Name: c.Name, Value: c.Value, Path: c.Path, Secure: c.Secure, HTTPOnly: c.HttpOnly, SameSite: sameSite(c.SameSite), MaxAge: c.MaxAge,
		}
		if t.Path == "" || t.Path[0] != '/' {
			t.Path = defaultPath(resp.Request.URL.Path)
		}
		if c.MaxAge == 0 && !c.Expires.IsZero() {
			if t.MaxAge = int(c.Expires.Sub(now) / time.Second); t.MaxAge == 0 {
				t.MaxAge = -1
			}
		}
		j.cookies = slices.DeleteFunc(j.cookies, func(o tunnel.Cookie) bool { return o.Name == t.Name && o.Path == t.Path })
		if t.MaxAge >= 0 {
			j.cookies = append(j.cookies, t)
		}
	}
}

// send adds those for the request's path, the longest path first.
func (j *jar) send(req *http.Request) {
	fit := slices.DeleteFunc(slices.Clone(j.cookies), func(c tunnel.Cookie) bool { return !pathMatch(req.URL.Path, c.Path) })
	slices.SortStableFunc(fit, func(a, b tunnel.Cookie) int { return len(b.Path) - len(a.Path) })
	pairs := make([]string, 0, len(fit))
	for _, c := range fit {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	if len(pairs) > 0 {
		req.Header.Set("Cookie", strings.Join(pairs, "; "))
	}
}

func (j *jar) given() []tunnel.Cookie { return j.cookies }

// defaultPath and pathMatch are RFC 6265, section 5.1.4.
func defaultPath(p string) string {
	if i := strings.LastIndexByte(p, '/'); i > 0 {
		return p[:i]
	}
	return "/"
}

func pathMatch(request, cookie string) bool {
	rest, ok := strings.CutPrefix(request, cookie)
	return ok && (rest == "" || strings.HasSuffix(cookie, "/") || rest[0] == '/')
}

func sameSite(s http.SameSite) string {
	switch s {
	case http.SameSiteStrictMode:
		return "strict"
	case http.SameSiteLaxMode:
		return "lax"
	case http.SameSiteNoneMode:
		return "none"
	}
	return ""
}
