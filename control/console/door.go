package console

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

const (
	cookieName = "__Host-trunkline-session"
	maxToken   = 256
	maxNext    = 512
)

var nobody fleet.Principal

// enter is the door: the one place where a request becomes a person's.
func (c *console) enter(r *http.Request) (fleet.Principal, error) {
	if !isolated(r) {
		return nobody, fault.New(fault.CrossSite, "Another site's page asked for this. Open the console itself.")
	}
	t := sessionToken(r)
	if t == "" {
		return nobody, fault.New(fault.SignInNeeded, "Sign in first.")
	}
	p, err := c.o.Fleet.Authenticate(r.Context(), t)
	if err != nil {
		return nobody, err
	}
	p.Remote = remote(r)
	return p, nil
}

// sessionToken is "" if there is no session. An API token in the cookie is
// none: the console looks at no scopes.
func sessionToken(r *http.Request) string {
	k, err := r.Cookie(cookieName)
	if err != nil || len(k.Value) > maxToken || strings.HasPrefix(k.Value, fleet.TokenPrefix) {
		return ""
	}
	return k.Value
}

func setSession(w http.ResponseWriter, token string) {
	// No expiry: the browser forgets it when it closes, control earlier.
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: token, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	})
}

func clearSession(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	})
}

// remote is the address of whoever is connected to us; a load balancer's own
// if one is between.
func remote(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// signInPath leads to the sign-in and back to the page that was asked for. A
// form cannot be sent again after it, so its page is returned to instead.
func (c *console) signInPath(r *http.Request) string {
	back := r.URL.RequestURI()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		back = filled(c.after[r.Pattern], r)
	}
	if back = localPath(back); back == "/" {
		return "/sign-in"
	}
	return "/sign-in?next=" + url.QueryEscape(back)
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// filled puts what the request's path says into a pattern.
func filled(pattern string, r *http.Request) string {
	return placeholder.ReplaceAllStringFunc(pattern, func(name string) string {
		return url.PathEscape(r.PathValue(strings.Trim(name, "{}")))
	})
}

// localPath is raw if it is a page of ours to go to after the sign-in, and
// "/" for everything else, such as another host's page in disguise.
func localPath(raw string) string {
	if len(raw) > maxNext || !strings.HasPrefix(raw, "/") || strings.ContainsFunc(raw, notPlain) {
		return "/"
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	// "//host" and "/\host" (also when encoded) name another host to browsers.
	if strings.HasPrefix(u.Path, "//") || strings.ContainsAny(u.Path, "\\") || strings.ContainsFunc(u.Path, notPrintable) {
		return "/"
	}
	for _, p := range []string{"/sign-in", "/sign-out", "/live", "/assets/"} {
		if strings.HasPrefix(u.Path, p) {
			return "/"
		}
	}
	out := (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
	if !strings.HasPrefix(out, "/") || strings.HasPrefix(out, "//") {
		return "/"
	}
	return out
}

// notPlain are characters that a browser drops or rewrites in an address, or
// that a header may not hold.
func notPlain(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }

func notPrintable(r rune) bool { return r < ' ' || r == 0x7f }
