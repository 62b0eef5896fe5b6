package coding

import "bytes"

// A coded answer is another representation than the portal's, so that its ETag
// must be another (RFC 9110, section 8.8.3.3), and a weak one: the bytes differ
// from one time to the next. The portal must hear its own again in conditions,
// since few compare weakly. So "x" becomes W/"x+tl", which no portal makes, and
// W/"x+tl" becomes "x".
const mark = `+tl"`

// appendMarked writes the ETag of a coded answer. One that is weak already
// stays, as does what is no ETag.
func appendMarked(b, etag []byte) []byte {
	if !strong(etag) {
		return append(b, etag...)
	}
	b = append(append(b, "W/"...), etag[:len(etag)-1]...)
	return append(b, mark...)
}

func strong(etag []byte) bool {
	return len(etag) >= 2 && etag[0] == '"' && bytes.IndexByte(etag[1:], '"') == len(etag)-2
}

// unmarked gives a list of ETags as the portal knows them, and whether that
// changed anything.
func unmarked(list []byte) ([]byte, bool) {
	if !bytes.Contains(list, []byte(mark)) {
		return list, false
	}
	var out []byte
	changed := false
	for len(list) > 0 {
		// The next quoted part, which may have commas in it.
		open := bytes.IndexByte(list, '"')
		if open < 0 {
			break
		}
		n := bytes.IndexByte(list[open+1:], '"')
		if n < 0 {
			break
		}
		end := open + 1 + n + 1
		tag := list[open:end]
		if len(tag) > len(mark) && bytes.HasSuffix(tag, []byte(mark)) {
			// Scripts take W/ off, for portals that know of no weak ones.
			out = append(out, bytes.TrimSuffix(list[:open], []byte("W/"))...)
			out = append(append(out, tag[:len(tag)-len(mark)]...), '"')
			changed = true
		} else {
			out = append(out, list[:end]...)
		}
		list = list[end:]
	}
	return append(out, list...), changed
}
