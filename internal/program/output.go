package program

import "bytes"

// head keeps the first max bytes, and drops the rest.
type head struct {
	b   []byte
	max int
}

func (w *head) Write(p []byte) (int, error) {
	w.b = append(w.b, p[:min(len(p), w.max-len(w.b))]...)
	return len(p), nil
}

// maxLine bounds a line of stderr.
const maxLine = 4 << 10

// lines keeps the last line that has something in it, whatever its writer writes
// at a time.
type lines struct {
	now  []byte // the line that has not ended
	long bool   // it was longer than maxLine: it is dropped as a whole, and not shown from somewhere in it
	full string
}

func (w *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte{'\n'})
		if w.long = w.long || len(w.now)+len(line) > maxLine; !w.long {
			w.now = append(w.now, line...)
		}
		if ended {
			w.end()
		}
		p = rest
	}
	return n, nil
}

func (w *lines) end() {
	if s := bytes.TrimSpace(w.now); w.long || len(s) > 0 {
		w.full = string(s)
		if w.long {
			w.full = ""
		}
	}
	w.now, w.long = nil, false
}

func (w *lines) last() string {
	w.end()
	return w.full
}
