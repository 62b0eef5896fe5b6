// Package load makes load as browsers do, and counts how long each thing was
// waited for. What it costs itself is small, and how much it does is exact.
package load

import "net"

// Endpoint is where a measured proxy takes requests.
type Endpoint struct {
	Scheme, Host, Port string // dialled on loopback, whatever the name is
	Headers            map[string]string
}

// URL is a path's, by the endpoint's own name.
func (e Endpoint) URL(path string) string {
	return e.Scheme + "://" + net.JoinHostPort(e.Host, e.Port) + path
}

func (e Endpoint) address() string { return net.JoinHostPort("127.0.0.1", e.Port) }
