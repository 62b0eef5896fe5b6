package mux

import (
	"net"
	"sync"
)

// loan is data that its stream's reader has without a copy.
type loan struct {
	bufs [8][]byte
	segs [8]*Segment
	len  int
}

var loans = sync.Pool{New: func() any { return new(loan) }}

func (l *loan) end() {
	for _, s := range l.segs[:l.len] {
		s.Release()
	}
	*l = loan{}
	loans.Put(l)
}

// Lend is Read that copies nothing: it calls use once with what has come, at
// most size bytes, which are use's until it returns. The error is Read's, or
// else use's; n is how many bytes use was given.
func (t *Stream) Lend(size int, use func(net.Buffers) error) (n int, err error) {
	return t.lend(size, use, true)
}

// TryLend is Lend that does not wait but says ErrWouldBlock.
func (t *Stream) TryLend(size int, use func(net.Buffers) error) (n int, err error) {
	return t.lend(size, use, false)
}

func (t *Stream) lend(size int, use func(net.Buffers) error, wait bool) (n int, err error) {
	if size <= 0 {
		return 0, nil
	}
	t.readMu.Lock()
	defer t.readMu.Unlock()
	l := loans.Get().(*loan)
	defer l.end()
	if n, err = t.borrow(l, size, wait); err != nil {
		return 0, err
	}
	return n, use(l.bufs[:l.len])
}

func (t *Stream) borrow(l *loan, size int, wait bool) (int, error) {
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := t.awaitLocked(wait); err != nil {
		return 0, err
	}
	n := t.queue.lend(l, size)
	t.consumedLocked()
	return n, nil
}
