package pbxsim

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// ownHosts is every Host value that the portal takes for its own.
func ownHosts(c Config, port int) map[string]bool {
	defaultPort := 80
	if c.TLS {
		defaultPort = 443
	}
	own := make(map[string]bool)
	add := func(host string) {
		host = strings.ToLower(host)
		own[host] = true
		if _, _, err := net.SplitHostPort(host); err == nil {
			return
		}
		own[host+":"+strconv.Itoa(port)] = true
		own[host+":"+strconv.Itoa(defaultPort)] = true
	}
	for _, h := range []string{"localhost", "127.0.0.1", "[::1]"} {
		own[h+":"+strconv.Itoa(port)] = true
		if port == defaultPort {
			own[h] = true
		}
	}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && host != "" {
		own[strings.ToLower(net.JoinHostPort(host, strconv.Itoa(port)))] = true
	}
	for _, h := range c.Hosts {
		add(h)
	}
	if c.AbsoluteHost != "" {
		add(c.AbsoluteHost)
	}
	return own
}

// doors is what every request passes, in this order: the portal is open, the
// Host is ours, the Origin is ours. /healthz passes the first alone.
func (p *Portal) doors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.enter() {
			http.Error(w, "The PBX is shutting down.", http.StatusServiceUnavailable)
			return
		}
		defer p.busy.Done()
		if r.URL.Path == "/healthz" {
			serveHealth(w, r)
			return
		}
		if !p.hosts[r.Host] && !p.hosts[strings.ToLower(r.Host)] {
			p.refuse(w, r, http.StatusMisdirectedRequest, "This is not the host you asked for",
				"The request was for a host name or address that does not belong to this PBX. Open the portal by its own address.")
			return
		}
		if changesState(r) && !p.sameOrigin(r) {
			p.refuse(w, r, http.StatusForbidden, "Request from another site",
				"The request came from a page that does not belong to this PBX, and was not carried out.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func serveHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

func changesState(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	}
	return true
}

// sameOrigin compares with the origin the request was sent to, not with every
// name the portal has: a proxy must map Origin and Host alike.
func (p *Portal) sameOrigin(r *http.Request) bool {
	from := r.Header.Get("Origin")
	if from == "" {
		from = r.Header.Get("Referer")
	}
	if from == "" {
		return true
	}
	u, err := url.Parse(from)
	if err != nil || u.Host == "" || u.Scheme != p.scheme {
		return false // "null" too
	}
	return withPort(p.scheme, u.Host) == withPort(p.scheme, r.Host)
}

func withPort(scheme, host string) string {
	host = strings.ToLower(host)
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	if scheme == "https" {
		return host + ":443"
	}
	return host + ":80"
}

// absolute is path as an absolute URL of the origin the portal believes it has.
func (p *Portal) absolute(r *http.Request, path string) string {
	host := p.cfg.AbsoluteHost
	if host == "" {
		host = r.Host
	}
	return p.scheme + "://" + host + path
}

// hostName is a Host value without its port and brackets.
func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}
