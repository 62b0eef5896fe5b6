package edge

import "bytes"

// field is one header line; both slices point into the head it came from.
type field struct {
	name, value []byte
	kind        kind
}

// kind sorts header fields by what becomes of them.
type kind uint8

const (
	kOther   kind = iota // passes as it is
	kHop                 // concerns one connection: never passes
	kForward             // who came from where: not a browser's to say
	kHost
	kConnection
	kUpgrade
	kLength
	kTransfer
	kExpect
	kCookie
	kOrigin
	kReferer
	kSetCookie
	kLocation // a URL reference that may name the portal
	kRefresh
	kAllowOrigin
	kTrailer
	kOurs // a promise about the site's host, which is the relay's: never passes
	kClearData
)

// kinds holds the names in lower case.
var kinds = map[string]kind{
	"keep-alive": kHop, "proxy-connection": kHop, "proxy-authorization": kHop, "proxy-authenticate": kHop, "te": kHop,
	"http2-settings": kHop, "forwarded": kForward, "x-real-ip": kForward, "x-forwarded": kForward,
	"host": kHost, "connection": kConnection, "upgrade": kUpgrade, "content-length": kLength, "transfer-encoding": kTransfer,
	"expect": kExpect, "cookie": kCookie, "origin": kOrigin, "referer": kReferer,
	"set-cookie": kSetCookie, "location": kLocation, "content-location": kLocation, "refresh": kRefresh,
	"access-control-allow-origin": kAllowOrigin, "trailer": kTrailer,
	// TLS on the site's host is the relay's business: HSTS would outlive the
	// portal that set it, and Alt-Svc would lead around the relay.
	"strict-transport-security": kOurs, "alt-svc": kOurs,
	"clear-site-data": kClearData,
}

// kindOf ignores case. Underscores count as hyphens where a field is dropped
// for who set it: a portal on CGI cannot tell them apart.
func kindOf(name []byte) kind {
	var low [32]byte
	if len(name) > len(low) {
		if hasPrefixFold(name, "x-forwarded-") || hasPrefixFold(name, "x-trunkline-") {
			return kForward
		}
		return kOther
	}
	folded := false
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		} else if c == '_' {
			c, folded = '-', true
		}
		low[i] = c
	}
	n := low[:len(name)]
	k := kinds[string(n)]
	if k == kOther && (bytes.HasPrefix(n, []byte("x-forwarded-")) || bytes.HasPrefix(n, []byte("x-trunkline-"))) {
		return kForward
	}
	if folded && k != kForward {
		return kOther
	}
	return k
}

func hasPrefixFold(b []byte, prefix string) bool {
	if len(b) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		} else if c == '_' {
			c = '-'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}
