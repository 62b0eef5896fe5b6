package mux

// readMin is the least room to read into. Less is left unused.
const readMin = 4 << 10

// Reader is the buffer between a connection and its session. It belongs to who
// calls Session.Receive, and the zero value is ready.
type Reader struct {
	seg *Segment
	at  int // seg.B[:at] may be in use
}

// Room is where to read the next bytes to.
func (r *Reader) Room() []byte {
	if r.seg != nil && len(r.seg.B)-r.at < readMin {
		r.Release()
	}
	if r.seg == nil {
		r.seg, r.at = NewSegment(), 0
	}
	return r.seg.B[r.at:]
}

// Took gives s the first n bytes of Room.
func (r *Reader) Took(s *Session, n int) error {
	err := s.Receive(r.seg, r.seg.B[r.at:r.at+n])
	if r.at += n; r.seg.Alone() {
		r.at = 0
	}
	return err
}

// Release gives the buffer back, for the time that nothing comes. Room takes
// another one.
func (r *Reader) Release() {
	if r.seg != nil {
		r.seg.Release()
		r.seg = nil
	}
}
