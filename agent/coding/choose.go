package coding

import "bytes"

// minSize is the least that is worth it: one packet holds as much anyway.
const minSize = 1 << 10

// facts are what an answer's head says.
type facts struct {
	status      int
	http10      bool
	frame       framing
	keep        bool // the connection goes on
	closes      bool // in so many words
	odd         bool // Connection names fields
	kind        []byte
	kinds       int
	encoded     bool // or signed, or in parts: bytes that must stay as they are
	noTransform bool
	vary        bool // mentions Accept-Encoding, or everything
	etag        []byte
}

// learn reads an answer's head. It is false for what the relay may read in
// another way.
func (a *facts) learn(h *head) bool {
	*a = facts{frame: framing{length: -1}}
	s := h.start
	if len(s) < 12 || !bytes.HasPrefix(s, []byte("HTTP/1.")) || s[7] != '0' && s[7] != '1' || s[8] != ' ' || len(s) > 12 && s[12] != ' ' {
		return false
	}
	n, ok := digits(s[9:12])
	if !ok || n < 100 || n > 599 {
		return false
	}
	a.status, a.http10 = int(n), s[7] == '0'
	a.keep = !a.http10
	for _, f := range h.fields {
		a.field(f)
	}
	return !a.frame.odd && !(a.http10 && a.frame.chunked)
}

func (a *facts) field(f field) {
	a.frame.take(f.name, f.value)
	switch {
	case is(f.name, "connection"):
		for tok := range bytes.SplitSeq(f.value, []byte(",")) {
			switch tok = bytes.Trim(tok, " \t"); {
			case is(tok, "close"):
				a.keep, a.closes = false, true
			case is(tok, "keep-alive"):
				a.keep = true
			case len(tok) > 0 && !is(tok, "upgrade"):
				a.odd = true
			}
		}
	case is(f.name, "content-type"):
		a.kind = f.value
		a.kinds++
	case is(f.name, "content-encoding"), is(f.name, "content-range"), is(f.name, "content-md5"),
		is(f.name, "digest"), is(f.name, "content-digest"), is(f.name, "repr-digest"):
		a.encoded = true
	case is(f.name, "cache-control"):
		a.noTransform = a.noTransform || has(f.value, "no-transform")
	case is(f.name, "vary"):
		a.vary = a.vary || has(f.value, "accept-encoding") || has(f.value, "*")
	case is(f.name, "etag"):
		a.etag = f.value
	}
}

// bodiless answers have no body, whatever they say of one. ok is false if that
// may be disputed.
func (a *facts) bodiless(q request) (none, ok bool) {
	switch {
	case a.status == 204 || a.status == 205:
		return true, a.frame.length <= 0 && !a.frame.chunked
	case q.head || a.status == 304:
		return true, true
	}
	return false, true
}

// codable is what an answer itself has to say to being coded, for a browser
// that accepts it.
func (a *facts) codable() bool {
	return a.status == 200 && !a.odd && !a.encoded && !a.noTransform && a.kinds == 1 && text(a.kind) &&
		(a.frame.length < 0 || a.frame.length >= minSize)
}

// text is the list of types that get smaller. What is not on it stays as it
// is: media and archives are compressed already, and streams of events are to
// leave the PBX at once.
func text(kind []byte) bool {
	kind, _, _ = bytes.Cut(kind, []byte(";"))
	kind = bytes.ToLower(bytes.Trim(kind, " \t"))
	main, sub, _ := bytes.Cut(kind, []byte("/"))
	switch string(main) {
	case "text":
		switch string(sub) {
		case "html", "css", "plain", "xml", "csv", "javascript", "x-javascript", "markdown", "vcard", "calendar", "x-log":
			return true
		}
	case "application":
		switch string(sub) {
		case "javascript", "x-javascript", "ecmascript", "json", "xml", "wasm", "vnd.ms-fontobject", "x-font-ttf", "x-font-otf", "x-font-opentype":
			return true
		}
		return bytes.HasSuffix(sub, []byte("+json")) || bytes.HasSuffix(sub, []byte("+xml"))
	case "image":
		switch string(sub) {
		case "svg+xml", "bmp", "x-icon", "vnd.microsoft.icon", "x-ms-bmp":
			return true
		}
	case "font":
		switch string(sub) {
		case "ttf", "otf", "collection", "sfnt":
			return true
		}
	}
	return false
}
