package console

import (
	"net/http"
	"strings"
)

// contentPolicy lets a page load our own files and nothing else. data: is for
// the icons in the style sheet.
func contentPolicy(forms string) string {
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
		"form-action " + forms, "frame-ancestors 'none'", "base-uri 'none'",
	}, "; ")
}

// secure sets what every answer carries. A page may change it afterwards.
func (c *console) secure(h http.Header) {
	h.Set("Content-Security-Policy", c.csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// Sites are siblings of the console: "same-site" would let a hostile PBX's
	// page embed what it can guess.
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
	if c.o.Zone != "localhost" && !strings.HasSuffix(c.o.Zone, ".localhost") {
		// On localhost a browser would remember it for whatever else runs there.
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// isolated reports whether r may be answered with somebody's data: our own
// pages may ask for anything, others may only link here. Sites share the
// console's registrable domain, so SameSite does not keep their pages out.
// Browsers without Sec-Fetch-Site (before 2023) are let through.
func isolated(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}
