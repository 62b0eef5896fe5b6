package mux

import "iter"

// streams are a session's, by their ids. The first of them has a place of its own:
// most sessions have one stream, which lasts, and nothing else.
type streams struct {
	first *Stream
	rest  map[uint32]*Stream // nil while there are none
}

func (t *streams) get(id uint32) *Stream {
	if t.first != nil && t.first.id == id {
		return t.first
	}
	return t.rest[id]
}

func (t *streams) add(s *Stream) {
	switch {
	case t.first == nil:
		t.first = s
		return
	case t.rest == nil:
		t.rest = make(map[uint32]*Stream)
	}
	t.rest[s.id] = s
}

func (t *streams) remove(s *Stream) {
	if t.first == s {
		t.first = nil
		return
	}
	if delete(t.rest, s.id); len(t.rest) == 0 {
		t.rest = nil // a map does not shrink
	}
}

func (t *streams) len() int {
	if t.first == nil {
		return len(t.rest)
	}
	return 1 + len(t.rest)
}

// all may be removed meanwhile.
func (t *streams) all() iter.Seq[*Stream] {
	return func(yield func(*Stream) bool) {
		if t.first != nil && !yield(t.first) {
			return
		}
		for _, s := range t.rest {
			if !yield(s) {
				return
			}
		}
	}
}
