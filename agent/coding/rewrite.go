package coding

// appendCoded writes the head of an answer that is coded: in chunks, since how
// long it gets is not known, and with what caches must know of it.
func appendCoded(b []byte, h *head, a *facts, coding string) []byte {
	b = append(append(b, "HTTP/1.1"...), h.start[len("HTTP/1.1"):]...)
	b = append(b, "\r\n"...)
	for _, f := range h.fields {
		switch {
		case is(f.name, "content-length"), is(f.name, "transfer-encoding"):
		case is(f.name, "accept-ranges"): // a part would be of other bytes
		case is(f.name, "etag"):
			b = append(append(b, f.name...), ": "...)
			b = append(appendMarked(b, f.value), "\r\n"...)
		default:
			b = appendField(b, string(f.name), f.value)
		}
	}
	if !a.closes && (a.http10 && !a.keep || a.frame.length < 0 && !a.frame.chunked) {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(append(append(b, "Content-Encoding: "...), coding...), "\r\nTransfer-Encoding: chunked\r\n"...)
	return append(appendVary(b, a), "\r\n"...)
}

// appendKept writes the head of an answer that is not coded, and is for other
// requests: caches must know.
func appendKept(b []byte, h *head, a *facts) []byte {
	return append(appendVary(h.append(b), a), "\r\n"...)
}

// appendFresh writes a 304 for a browser that has the answer coded, and under
// our ETag.
func appendFresh(b []byte, h *head) []byte {
	for i, f := range h.fields {
		if is(f.name, "etag") {
			h.fields[i].value = appendMarked(nil, f.value)
		}
	}
	return append(h.append(b), "\r\n"...)
}

func appendVary(b []byte, a *facts) []byte {
	if a.vary {
		return b
	}
	return append(b, "Vary: Accept-Encoding\r\n"...)
}
