package mux

// list is a queue of streams. A stream is in each of the core's lists once at
// most; which of its links a list uses is its number, and so is the bit of
// Stream.in that says whether it is there.
type list struct {
	at          uint8
	first, last *Stream
}

const (
	inControl = iota
	inFresh
	inData
	inClosing
	inTouched
	lists
)

type link struct{ next, prev *Stream }

func (l *list) has(s *Stream) bool { return s.in&(1<<l.at) != 0 }

// push appends s, unless it is there already.
func (l *list) push(s *Stream) {
	if l.has(s) {
		return
	}
	s.in |= 1 << l.at
	s.links[l.at] = link{prev: l.last}
	if l.last == nil {
		l.first = s
	} else {
		l.last.links[l.at].next = s
	}
	l.last = s
}

// pushFront puts s before all others.
func (l *list) pushFront(s *Stream) {
	if l.has(s) {
		return
	}
	s.in |= 1 << l.at
	s.links[l.at] = link{next: l.first}
	if l.first == nil {
		l.last = s
	} else {
		l.first.links[l.at].prev = s
	}
	l.first = s
}

func (l *list) remove(s *Stream) {
	if !l.has(s) {
		return
	}
	s.in &^= 1 << l.at
	k := &s.links[l.at]
	if k.prev == nil {
		l.first = k.next
	} else {
		k.prev.links[l.at].next = k.next
	}
	if k.next == nil {
		l.last = k.prev
	} else {
		k.next.links[l.at].prev = k.prev
	}
	*k = link{}
}

// pop takes the first, nil if there is none.
func (l *list) pop() *Stream {
	s := l.first
	if s != nil {
		l.remove(s)
	}
	return s
}
