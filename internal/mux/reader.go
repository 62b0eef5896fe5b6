package mux

// readMin is the least room to read into: a TLS record.
const readMin = 16 << 10

// Reader feeds a session from its connection. It belongs to who calls
// Session.Receive, and the zero value is ready.
type Reader struct {
	seg *Segment
	at  int // seg.B[:at] may be in use
}

// Feed calls read once, with room for one TLS record or more, and gives the
// session what it read. The error is read's, or else the session's.
func (r *Reader) Feed(s *Session, read func([]byte) (int, error)) error {
	if r.seg != nil && len(r.seg.B)-r.at < readMin {
		r.Release()
	}
	if r.seg == nil {
		r.seg, r.at = NewSegment(), 0
	}
	n, err := read(r.seg.B[r.at:])
	if n > 0 {
		if e := s.Receive(r.seg, r.at, r.at+n); err == nil {
			err = e
		}
		if r.at += n; r.seg.Alone() {
			r.at = 0
		}
	}
	return err
}

// Release gives the buffer back, for the time that nothing comes. Feed takes
// another one.
func (r *Reader) Release() {
	if r.seg != nil {
		r.seg.Release()
		r.seg = nil
	}
}
