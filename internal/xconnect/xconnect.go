// Package xconnect has golang.org/x/net/http2 offer extended CONNECT (RFC 8441),
// over which browsers speak WebSocket on an HTTP/2 connection.
//
// x/net reads that from GODEBUG in the environment while it is initialised, and
// knows no other way. Packages are initialised in the order of their paths as
// far as their imports allow (The Go Programming Language Specification,
// "Program initialization"; Go 1.21 and later). This one imports nothing that
// comes late; x/net waits for net/http, which waits for packages whose paths
// begin with "vendor/", and so for this one. If that ever fails, browsers open
// a connection of HTTP/1.1 for a WebSocket; a test in relay/edge would say so.
package xconnect

import (
	"os"
	"strings"
)

// What the operator says in the environment stays.
func init() {
	if e := os.Getenv("GODEBUG"); !strings.Contains(e, "http2xconnect=") {
		_ = os.Setenv("GODEBUG", strings.TrimPrefix(e+",http2xconnect=1", ",")) // a name without "=" or NUL is never refused
	}
}
