package mux

import (
	"net"
	"os"
	"sync"
	"time"
)

// feeding is what a stream's reader has left to who receives.
type feeding struct {
	take func(net.Buffers) (more bool)
	left int64
	n    int64 // bytes that it was given
	busy bool  // take is at work
}

var feeds = sync.Pool{New: func() any { return new(feeding) }}

// feedSize is how much take gets at once.
const feedSize = 64 << 10

// Feed has Receive's caller call take with what comes, so that nobody has to be
// woken for it, until take wants no more, it had size bytes, or it is until; what
// take gets, 64 KiB at once at most, is take's until it returns, and it must not
// wait. If something is there already Feed returns at once, and says 0.
//
// n is how many bytes take was given. The error is Read's, of which there is none
// as long as n is not 0.
func (t *Stream) Feed(size int64, until time.Time, take func(net.Buffers) (more bool)) (n int64, err error) {
	t.readMu.Lock()
	defer t.readMu.Unlock()
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	f := feeds.Get().(*feeding)
	*f = feeding{take: take, left: size}
	t.fed = f
	for t.fed == f {
		by, late := until, error(nil)
		if !t.readBy.IsZero() && t.readBy.Before(until) {
			by, late = t.readBy, os.ErrDeadlineExceeded
		}
		switch err = t.endLocked(); {
		case err != nil || t.queue.len > 0 && !f.busy:
			t.fed = nil
		case !waitLocked(&s.mu, &t.reader, by):
			t.fed, err = nil, late
		}
	}
	for f.busy { // who feeds sees that nobody wants it any more, and says so
		waitLocked(&s.mu, &t.reader, time.Time{})
	}
	n = f.n
	*f = feeding{}
	feeds.Put(f)
	if n > 0 {
		err = nil
	}
	return n, err
}

// feedsLocked reports whether there is something that Receive's caller has to pass
// on. After the session's end nobody calls Receive.
func (t *Stream) feedsLocked() bool {
	return t.fed != nil && t.queue.len > 0 && t.session.over == nil && !t.session.core.lastWord && t.endLocked() == nil
}

// feedNow passes on what is there.
func (t *Stream) feedNow() {
	s := t.session
	s.mu.Lock()
	f := t.fed
	if f == nil || f.busy {
		s.mu.Unlock()
		return
	}
	f.busy = true
	for t.fed == f && t.feedsLocked() {
		more := t.feedLocked(f)
		if !more || f.left == 0 {
			t.fed = nil
		}
	}
	f.busy = false
	if t.fed != f || t.queue.len > 0 || t.endLocked() != nil {
		t.reader.wake()
	}
	output := s.core.hasOutput()
	s.mu.Unlock()
	if output {
		s.Flush() // the window
	}
}

// feedLocked frees the lock for take.
func (t *Stream) feedLocked(f *feeding) (more bool) {
	s := t.session
	l := loans.Get().(*loan)
	defer l.end()
	n := t.queue.lend(l, int(min(f.left, feedSize)))
	s.core.consumed(t, clock())
	f.left -= int64(n)
	f.n += int64(n)
	s.mu.Unlock()
	defer s.mu.Lock()
	return f.take(l.bufs[:l.len])
}
