package edge

import (
	"bytes"
	"strings"
)

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
	"client-ip": kForward, "x-client-ip": kForward, "x-cluster-client-ip": kForward, "true-client-ip": kForward, "cf-connecting-ip": kForward,
	"traceparent": kForward, "tracestate": kForward,
	"x-original-url": kForward, "x-rewrite-url": kForward,
	"host": kHost, "connection": kConnection, "upgrade": kUpgrade, "content-length": kLength, "transfer-encoding": kTransfer,
	"expect": kExpect, "cookie": kCookie, "origin": kOrigin, "referer": kReferer,
	"set-cookie": kSetCookie, "location": kLocation, "content-location": kLocation, "refresh": kRefresh,
	"access-control-allow-origin": kAllowOrigin, "trailer": kTrailer,
	// TLS on the site's host is the relay's business: HSTS would outlive the
	// portal that set it, and Alt-Svc would lead around the relay.
	"strict-transport-security": kOurs, "alt-svc": kOurs,
	"clear-site-data": kClearData,
}

// beginnings has for each length of the names in kinds the letters that they
// begin with, the lowest bit for a: most fields need not be looked up.
var beginnings = func() (t [32]uint32) {
	for name := range kinds {
		t[len(name)] |= 1 << (name[0] - 'a')
	}
	return t
}()

// lowered has for each byte of a token (RFC 9110, section 5.6.2) the same in
// lower case, and 0 for all others.
var lowered = func() (t [256]byte) {
	for i := range t {
		switch c := byte(i); {
		case c >= 'A' && c <= 'Z':
			t[i] = c + 'a' - 'A'
		case isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
			t[i] = c
		}
	}
	return t
}()

// kindOf ignores case. Underscores count as hyphens where a field is dropped
// for who set it: a portal on CGI cannot tell them apart.
func kindOf(name []byte) kind {
	k, _ := kindOfToken(name)
	return k
}

// kindOfToken is kindOf that is not ok with what is no token.
func kindOfToken(name []byte) (k kind, ok bool) {
	if len(name) == 0 {
		return kOther, false
	}
	var low [len(beginnings)]byte
	folded := false
	for i, c := range name {
		if c = lowered[c]; c == 0 {
			return kOther, false
		}
		if i < len(low) {
			if c == '_' {
				c, folded = '-', true
			}
			low[i] = c
		}
	}
	n := low[:min(len(name), len(low))]
	if n[0] == 'x' && (bytes.HasPrefix(n, []byte("x-forwarded-")) || bytes.HasPrefix(n, []byte("x-trunkline-"))) {
		return kForward, true
	}
	if len(name) >= len(beginnings) || n[0] < 'a' || beginnings[len(name)]&(1<<(n[0]-'a')) == 0 {
		return kOther, true
	}
	if k = kinds[string(n)]; folded {
		k = k.folded()
	}
	return k, true
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

// folded is the kind of a name that is another's but for its underscores: what
// it says of who came from where, or of the framing, must not reach a portal
// that takes it for the other.
func (k kind) folded() kind {
	switch k {
	case kForward, kHop:
		return k
	case kHost, kConnection, kUpgrade, kLength, kTransfer, kExpect, kTrailer:
		return kHop
	}
	return kOther
}
