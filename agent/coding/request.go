package coding

import (
	"bytes"
	"slices"
)

// request is what is kept of a browser's request until its answer comes.
type request struct {
	opaque bool // not understood, nor is what comes after it
	head   bool // HEAD: the answer has no body
	may    bool // whether its answer may be coded at all
	accept accepted
	marked bool // its conditions named an ETag of ours
}

// requests follows what the relay sends. feed is its one entrance.
type requests struct {
	pending []byte // an incomplete head
	h       head
	left    int64 // of a body; -1: it is chunked
	chunks  chunks
	blind   bool
}

// feed takes what came and gives what the portal is to get: b itself, but for
// conditions that name an ETag of ours. Each request is told before any of it
// is given.
func (r *requests) feed(b []byte, tell func(request)) []byte {
	if r.blind {
		return b
	}
	in, kept := b, 0
	if len(r.pending) > 0 {
		kept, in = len(r.pending), slices.Concat(r.pending, b)
		r.pending = nil
	}
	var out []byte // nil: in is given as it is
	at := 0
	for at < len(in) && !r.blind {
		if r.left != 0 {
			n := r.body(in[at:])
			if out != nil {
				out = append(out, in[at:at+n]...)
			}
			at += n
			continue
		}
		n := headEnd(in[at:], kept)
		kept = 0
		if n > maxHead || n == 0 && len(in)-at > maxHead {
			r.lose(tell)
			break
		}
		if n == 0 {
			r.pending = bytes.Clone(in[at:])
			in = in[:at]
			break
		}
		q, edited := r.take(in[at : at+n])
		tell(q)
		if r.blind = q.opaque; r.blind {
			break
		}
		if edited != nil && out == nil {
			out = append(make([]byte, 0, len(in)), in[:at]...)
		}
		switch {
		case edited != nil:
			out = append(out, edited...)
		case out != nil:
			out = append(out, in[at:at+n]...)
		}
		at += n
	}
	if out == nil {
		return in
	}
	return append(out, in[at:]...)
}

// lose ends the reading: the answer to what is not understood is not either.
func (r *requests) lose(tell func(request)) {
	r.blind = true
	tell(request{opaque: true})
}

// body follows a request's body and says how much of b is of it.
func (r *requests) body(b []byte) int {
	if r.left > 0 {
		n := min(r.left, int64(len(b)))
		r.left -= n
		return int(n)
	}
	used, _, _ := r.chunks.next(b)
	switch r.chunks.state {
	case chunkEnd:
		r.left = 0
	case chunkBad:
		r.blind = true // the portal may see the next request where we do not
	}
	return used
}

// take reads a head. It also gives it as the portal is to get it, if that is
// not as it came.
func (r *requests) take(b []byte) (q request, edited []byte) {
	opaque := request{opaque: true}
	defer r.h.forget()
	if !r.h.parse(b) {
		return opaque, nil
	}
	method, target, version := startLine(r.h.start)
	if !token(method) || len(target) == 0 || string(version) != "HTTP/1.1" || string(method) == "CONNECT" || string(method) == "TRACE" {
		return opaque, nil
	}
	frame := framing{length: -1}
	var lines [4][]byte
	encodings, site := lines[:0], []byte(nil)
	q.head = string(method) == "HEAD"
	q.may = string(method) == "GET" || string(method) == "POST"
	for i, f := range r.h.fields {
		frame.take(f.name, f.value)
		switch {
		case is(f.name, "upgrade"):
			return opaque, nil
		case is(f.name, "accept-encoding"):
			encodings = append(encodings, f.value)
		case is(f.name, "sec-fetch-site"):
			site = f.value
		case is(f.name, "range"):
			q.may = false
		case is(f.name, "cache-control"):
			q.may = q.may && !has(f.value, "no-transform")
		case is(f.name, "if-none-match"), is(f.name, "if-match"):
			if v, ok := unmarked(f.value); ok {
				q.marked = true
				r.h.fields[i].value = v
			}
		}
	}
	if frame.odd {
		return opaque, nil
	}
	q.may = q.may && ownPage(site)
	q.accept = acceptance(encodings)
	r.left, r.chunks = max(frame.length, 0), chunks{}
	if frame.chunked {
		r.left = -1
	}
	if q.marked {
		edited = append(r.h.append(nil), "\r\n"...)
	}
	return q, edited
}

// ownPage reports whether a request was made by the portal's own pages or by
// the person, as the browser says (Fetch Metadata). Somebody else's page could
// have guesses of a secret compressed together with it, and see from the length
// which is right (BREACH); other sites of the zone are somebody else's. A
// browser that does not say is not trusted with it.
func ownPage(site []byte) bool { return is(site, "same-origin") || is(site, "none") }

// startLine splits a request's first line at its two spaces.
func startLine(b []byte) (method, target, version []byte) {
	method, rest, _ := bytes.Cut(b, []byte(" "))
	target, version, _ = bytes.Cut(rest, []byte(" "))
	return method, target, version
}
