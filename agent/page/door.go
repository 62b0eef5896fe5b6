package page

import (
	"net"
	"net/http"
	"strings"

	"go.uber.org/zap"
)

// maxBody is the largest form: a CA file among it.
const maxBody = 160 << 10

// policy lets the page load its own files and nothing else, and be in nobody's
// frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// door is what every request passes, and what every answer carries.
func (g *Page) door(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.log.Warn("request from another page refused", zap.String("method", r.Method))
		g.fail(w, r, http.StatusForbidden, "Request refused", "It came from another web page. Open this page by its own address.")
	}))
	guarded := cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.handlers.Add(1)
		defer g.handlers.Done()
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		// A name that an attacker's DNS points at loopback makes their page ours
		// in the browser's eyes; only the Host header tells.
		if !g.hosts[hostOf(r.Host)] {
			g.log.Warn("request for another host refused")
			g.fail(w, r, http.StatusMisdirectedRequest, "Not here", "This page is not known by that name. Open it as http://localhost, or set page.hosts in the agent's configuration.")
			return
		}
		if !ours(r) {
			g.fail(w, r, http.StatusForbidden, "Request refused", "It came from another web page. Open this page by its own address.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		guarded.ServeHTTP(w, r)
	})
}

// ours reports whether r may be answered: our own pages may ask for anything,
// others may only link here. Browsers without Sec-Fetch-Site are let through.
func ours(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

func hostOf(s string) string {
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	}
	return strings.ToLower(host)
}

// inside lets in who has signed in.
func (g *Page) inside(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !g.signedIn(r, true) {
			// Not the form's content: it would be sent by whoever signs in next.
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		next(w, r)
	}
}
