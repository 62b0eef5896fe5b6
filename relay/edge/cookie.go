package edge

import (
	"bytes"
	"strings"
	"unsafe"
)

// CookieName is the visit's cookie. Its prefix makes browsers hold it to the
// site's own origin (RFC 6265bis, section 4.1.3.2).
const CookieName = ownCookies + "visit"

// ownCookies begins the names of the relay's cookies: the portal neither gets
// nor sets any of them.
const ownCookies = "__Host-trunkline-"

// appendSetVisit gives the browser the visit cookie; an empty value takes it back.
func appendSetVisit(b []byte, value string) []byte {
	b = append(append(append(append(b, "Set-Cookie: "...), CookieName...), '='), value...)
	b = append(b, "; Path=/; Secure; HttpOnly; SameSite=Lax"...)
	if value == "" {
		b = append(b, "; Max-Age=0"...)
	}
	return append(b, "\r\n"...)
}

// visitCookie is the value of the first visit cookie in a Cookie field. It is a
// part of the field, and as short-lived.
func visitCookie(v []byte) (string, bool) { return cookieNamed(v, CookieName) }

func cookieNamed(v []byte, want string) (string, bool) {
	for pair := range bytes.SplitSeq(v, []byte(";")) {
		name, value, _ := bytes.Cut(pair, []byte("="))
		if string(trimSpace(name)) == want {
			value = trimSpace(value)
			return unsafe.String(unsafe.SliceData(value), len(value)), true // half a KiB per request, not copied
		}
	}
	return "", false
}

// appendCookies appends a Cookie field's value without the relay's cookies; the
// other pairs keep their bytes and their order.
func appendCookies(b, v []byte) []byte {
	first := true
	for pair := range bytes.SplitSeq(v, []byte(";")) {
		name, _, _ := bytes.Cut(pair, []byte("="))
		if bytes.HasPrefix(trimSpace(name), []byte(ownCookies)) {
			continue
		}
		if first {
			pair = bytes.TrimLeft(pair, " \t")
			first = false
		} else {
			b = append(b, ';')
		}
		b = append(b, pair...)
	}
	return b
}

// appendSetCookie appends the portal's Set-Cookie value as the site's: without
// Domain, so that the cookie stays on the site's own host, whatever name the
// portal thinks it has. It appends nothing for the relay's cookies, which are
// not the portal's to set; a cookie with no name would come back as its value says.
func appendSetCookie(b, v []byte) []byte {
	pair, attrs, more := bytes.Cut(v, []byte(";"))
	name, value, ok := bytes.Cut(pair, []byte("="))
	name = trimSpace(name)
	if !ok || len(name) == 0 {
		name = trimSpace(value)
		if !ok {
			name = trimSpace(pair)
		}
	}
	if len(name) >= len(ownCookies) && strings.EqualFold(string(name[:len(ownCookies)]), ownCookies) {
		return b
	}
	b = append(b, pair...)
	for more {
		var attr []byte
		attr, attrs, more = bytes.Cut(attrs, []byte(";"))
		key, _, _ := bytes.Cut(attr, []byte("="))
		if !strings.EqualFold(string(trimSpace(key)), "domain") {
			b = append(append(b, ';'), attr...)
		}
	}
	return b
}
