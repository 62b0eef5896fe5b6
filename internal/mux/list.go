package mux

// queues are queues of streams, each known by its number. A stream is in each of
// them once at most.
type queues [lists]struct{ first, last *Stream }

const (
	inControl = iota // streams with something other than data to send
	inFresh          // those that have just got data, and a window for it
	inData           // those that have more than a turn of it
	inClosing        // those that we have closed and the peer has not, the oldest first
	inTouched        // those with events
	lists
)

// link is a stream's place in one of them.
type link struct{ next, prev *Stream }

func (q *queues) has(at int, s *Stream) bool { return s.in&(1<<at) != 0 }

// first is nil if there is none.
func (q *queues) first(at int) *Stream { return q[at].first }

// push appends s, unless it is there already.
func (q *queues) push(at int, s *Stream) {
	if q.has(at, s) {
		return
	}
	l := &q[at]
	s.in |= 1 << at
	s.links[at] = link{prev: l.last}
	if l.last == nil {
		l.first = s
	} else {
		l.last.links[at].next = s
	}
	l.last = s
}

// pushFront puts s before all others.
func (q *queues) pushFront(at int, s *Stream) {
	if q.has(at, s) {
		return
	}
	l := &q[at]
	s.in |= 1 << at
	s.links[at] = link{next: l.first}
	if l.first == nil {
		l.last = s
	} else {
		l.first.links[at].prev = s
	}
	l.first = s
}

func (q *queues) remove(at int, s *Stream) {
	if !q.has(at, s) {
		return
	}
	l, k := &q[at], &s.links[at]
	s.in &^= 1 << at
	if k.prev == nil {
		l.first = k.next
	} else {
		k.prev.links[at].next = k.next
	}
	if k.next == nil {
		l.last = k.prev
	} else {
		k.next.links[at].prev = k.prev
	}
	*k = link{}
}

// pop takes the first, nil if there is none.
func (q *queues) pop(at int) *Stream {
	s := q[at].first
	if s != nil {
		q.remove(at, s)
	}
	return s
}
