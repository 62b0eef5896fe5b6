package edge

import (
	"bytes"
	"strings"

	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

// origins maps between the site's origin, which the browser knows, and the
// portal's, which the PBX knows. The site's is https:// and the request's own
// Host: behind a load balancer the port is not ours to know.
type origins struct {
	site   []byte // the request's Host
	scheme string // the portal's
	host   string // the portal's, as a Host field has it
	portal tunnel.Portal
}

func newOrigins(site []byte, p tunnel.Portal) (origins, error) {
	scheme, host, ok := strings.Cut(p.Origin, "://")
	if !ok || host == "" || scheme != "http" && scheme != "https" || !isAuthority(host) {
		return origins{}, fault.New(fault.NotReady, "The PBX is connected but has not said yet where its web portal is. Try again in a moment.")
	}
	return origins{site: site, scheme: scheme, host: host, portal: p}, nil
}

// isAuthority keeps a portal's name from breaking out of a header line.
func isAuthority(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && strings.IndexByte("-._:[]", c) < 0 {
			return false
		}
	}
	return s != ""
}

// appendToPortal appends an Origin or Referer as the portal would see it if it
// were visited directly. Others' origins stay: refusing them is the portal's right.
func (o *origins) appendToPortal(b, v []byte) []byte {
	authority, rest, ok := cutScheme(v, "https")
	if !ok || !bytes.EqualFold(authority, o.site) {
		return append(b, v...)
	}
	b = append(append(append(b, o.scheme...), "://"...), o.host...)
	return append(b, rest...)
}

// cutScheme splits scheme://authority from the rest of a URL.
func cutScheme(v []byte, scheme string) (authority, rest []byte, ok bool) {
	if len(v) <= len(scheme)+3 || !strings.EqualFold(string(v[:len(scheme)]), scheme) || string(v[len(scheme):len(scheme)+3]) != "://" {
		return nil, nil, false
	}
	authority, rest = splitAuthority(v[len(scheme)+3:])
	return authority, rest, true
}

func splitAuthority(v []byte) (authority, rest []byte) {
	if i := bytes.IndexAny(v, "/?#\\"); i >= 0 {
		return v[:i], v[i:]
	}
	return v, nil
}

// appendToSite appends a URL reference from the portal, with the portal's
// origin or an alias of it replaced by the site's.
func (o *origins) appendToSite(b, v []byte) []byte {
	rest, ok := o.cutPortal(v)
	if !ok {
		return append(b, v...)
	}
	b = append(append(b, "https://"...), o.site...)
	return append(b, rest...)
}

// cutPortal strips the portal's origin. The scheme does not matter, since a
// portal redirects http to https of itself; the port does, since another one
// is another service.
func (o *origins) cutPortal(v []byte) (rest []byte, ok bool) {
	scheme := "https"
	authority, rest, ok := cutScheme(v, scheme)
	if !ok {
		scheme = "http"
		authority, rest, ok = cutScheme(v, scheme)
	}
	if !ok && bytes.HasPrefix(v, []byte("//")) {
		scheme, ok = o.scheme, true
		authority, rest = splitAuthority(v[2:])
	}
	if !ok {
		return nil, false
	}
	if sameHost(scheme, string(authority), o.scheme, o.host) {
		return rest, true
	}
	for _, a := range o.portal.Aliases {
		if s, h, ok := strings.Cut(a, "://"); ok && sameHost(scheme, string(authority), s, h) {
			return rest, true
		}
	}
	return nil, false
}

// sameHost compares authorities; a default port may be spelled or not, and the
// default ports of http and https count as one.
func sameHost(scheme1, a1, scheme2, a2 string) bool {
	h1, p1 := splitPort(scheme1, a1)
	h2, p2 := splitPort(scheme2, a2)
	return p1 == p2 && strings.EqualFold(h1, h2)
}

func splitPort(scheme, authority string) (host, port string) {
	host = authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && strings.IndexByte(authority[i:], ']') < 0 {
		host, port = authority[:i], authority[i+1:]
	}
	if port == "80" && scheme == "http" || port == "443" && scheme == "https" {
		port = ""
	}
	return strings.TrimSuffix(host, "."), port
}

// appendRefresh maps the URL in a Refresh field: "5; url=https://pbx/".
func (o *origins) appendRefresh(b, v []byte) []byte {
	i := bytes.IndexByte(v, '=')
	semi := bytes.IndexAny(v, ";,")
	if i < 0 || semi < 0 || semi > i || !strings.EqualFold(string(bytes.Trim(v[semi+1:i], " \t")), "url") {
		return append(b, v...)
	}
	u := bytes.TrimLeft(v[i+1:], " \t")
	b = append(b, v[:len(v)-len(u)]...)
	if len(u) > 0 && (u[0] == '"' || u[0] == '\'') {
		b, u = append(b, u[0]), u[1:]
	}
	return o.appendToSite(b, u)
}
