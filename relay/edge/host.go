package edge

import (
	"bytes"
	"crypto/tls"
	"strings"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// hostName splits the value of a Host field: its name in lower case without
// the root's dot, and its port with the colon. ok is false on what is no
// reg-name with an optional port (RFC 9110, section 7.2); an address in
// brackets is none of ours either.
func hostName(host []byte) (name, port string, ok bool) {
	h := host
	if i := bytes.IndexByte(h, ':'); i >= 0 {
		if !isPort(h[i+1:]) {
			return "", "", false
		}
		port, h = string(h[i:]), h[:i]
	}
	h = bytes.TrimSuffix(h, []byte("."))
	if len(h) == 0 || len(h) > 253 {
		return "", "", false
	}
	for i, c := range h {
		if c == '.' && (i == 0 || i == len(h)-1 || h[i-1] == '.') || !isAlnum(c) && c != '-' && c != '.' && c != '_' {
			return "", "", false
		}
	}
	return strings.ToLower(string(h)), port, true
}

func isPort(b []byte) bool {
	if len(b) == 0 || len(b) > 5 {
		return false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n > 0 && n <= 65535
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// siteOf is the site a host name stands for. Zone has a leading dot.
func siteOf(name, zone string) (id.Site, error) {
	label, ok := strings.CutSuffix(name, zone)
	var s id.Site
	if !ok || s.UnmarshalText([]byte(label)) != nil {
		return "", fault.New(fault.UnknownHost, "No site has this host name. Check the address.")
	}
	return s, nil
}

// findSite is the first step of the descent: which site the request is for,
// agreed upon by the Host field, an absolute target and the TLS handshake.
func (x *exchange) findSite() error {
	r := &x.req
	if r.hosts != 1 {
		return fault.New(fault.Invalid, "The request must have exactly one Host.")
	}
	if r.authority != nil && !bytes.EqualFold(r.authority, r.host) {
		return fault.New(fault.Invalid, "The request's target and its Host disagree.")
	}
	if x.c.host == string(r.host) && x.c.site != "" { // as in its request before
		x.site = x.c.site
		return nil
	}
	name, _, ok := hostName(r.host)
	if !ok {
		return fault.New(fault.Invalid, "The request's Host is malformed.")
	}
	site, err := siteOf(name, x.e.zone)
	if err != nil {
		return err
	}
	if sni := x.c.sni; sni != "" && sni != name {
		return fault.New(fault.HostMismatch, "This connection was made for another host name. Open the address in a new window.")
	}
	x.site, x.c.site, x.c.host = site, site, string(r.host)
	return nil
}

// sniOf is the name the browser asked for in the handshake.
func sniOf(s tls.ConnectionState) string {
	return strings.ToLower(strings.TrimSuffix(s.ServerName, "."))
}
