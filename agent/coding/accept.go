package coding

import "bytes"

// accepted says which codings an Accept-Encoding allows (RFC 9110, section
// 12.5.3). Without one nothing is: browsers always say.
type accepted struct{ gzip, zstd bool }

// add reads one more line of it. A coding that is named counts by its own
// weight, others by that of *.
func acceptance(lines [][]byte) accepted {
	type word int // unsaid, refused, accepted
	var gzip, zstd, rest word
	for _, line := range lines {
		for e := range bytes.SplitSeq(line, []byte(",")) {
			name, params, _ := bytes.Cut(e, []byte(";"))
			w := word(1)
			if weighs(params) {
				w = 2
			}
			switch name = bytes.Trim(name, " \t"); {
			case is(name, "gzip"), is(name, "x-gzip"):
				gzip = w
			case is(name, "zstd"):
				zstd = w
			case is(name, "*"):
				rest = w
			}
		}
	}
	if gzip == 0 {
		gzip = rest
	}
	if zstd == 0 {
		zstd = rest
	}
	return accepted{gzip: gzip == 2, zstd: zstd == 2}
}

// weighs reports whether the parameters of a coding leave it a weight above 0.
// What cannot be read counts as none.
func weighs(params []byte) bool {
	params = bytes.Trim(params, " \t")
	if len(params) == 0 {
		return true
	}
	name, q, ok := bytes.Cut(params, []byte("="))
	if q = bytes.TrimSpace(q); !ok || !is(bytes.TrimSpace(name), "q") || len(q) == 0 || len(q) > 5 {
		return false
	}
	if q[0] != '0' && q[0] != '1' || len(q) > 1 && q[1] != '.' {
		return false
	}
	for _, c := range q[min(len(q), 2):] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return bytes.ContainsAny(q, "123456789")
}
