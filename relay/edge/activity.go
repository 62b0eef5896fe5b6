package edge

import (
	"bytes"
	"strings"
)

// Activity is what a request says of whoever made it, by the browser's own
// word (Fetch Metadata Request Headers, W3C).
type Activity uint8

// In the order of relay/trust's, which judges them.
const (
	Passive Activity = iota // a part of a page, or a stream of events
	Asked                   // by a script, for a person or by itself
	Person                  // a navigation that a person began
)

// activity classifies the request. key is the same for requests that differ
// in nothing but their query and in numbers, as those of one timer do.
func (x *exchange) activity() (a Activity, key uint64) {
	var mode, dest, user []byte
	events := false
	for _, f := range x.req.fields {
		switch len(f.name) {
		case len("Accept"):
			events = events || strings.EqualFold(string(f.name), "Accept") && string(f.value) == "text/event-stream"
		case len("Sec-Fetch-Mode"): // as long as -Dest and -User
			switch {
			case strings.EqualFold(string(f.name), "Sec-Fetch-Mode"):
				mode = f.value
			case strings.EqualFold(string(f.name), "Sec-Fetch-Dest"):
				dest = f.value
			case strings.EqualFold(string(f.name), "Sec-Fetch-User"):
				user = f.value
			}
		}
	}
	switch {
	case string(mode) == "navigate" && string(user) == "?1":
		return Person, 0
	case events, len(dest) > 0 && string(dest) != "empty" && string(dest) != "websocket" && string(mode) != "navigate":
		return Passive, 0
	}
	return Asked, keyOf(x.req.method, x.req.target)
}

// keyOf is FNV-1a over the method and the path, in which a run of digits
// counts as one.
func keyOf(method string, target []byte) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	path, _, _ := bytes.Cut(target, []byte("?"))
	h := uint64(offset)
	add := func(c byte) { h = (h ^ uint64(c)) * prime }
	for i := range len(method) {
		add(method[i])
	}
	digit := false
	for _, c := range path {
		was := digit
		if digit = c >= '0' && c <= '9'; digit {
			if was {
				continue
			}
			c = '0'
		}
		add(c)
	}
	return h
}
