package wheel

// list links timers through themselves.
type list struct{ first, last *Timer }

func (l *list) add(t *Timer) {
	t.in, t.prev = l, l.last
	if l.last == nil {
		l.first = t
	} else {
		l.last.next = t
	}
	l.last = t
}

func (l *list) remove(t *Timer) {
	if t.prev == nil {
		l.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.in, t.next, t.prev = nil, nil, nil
}
