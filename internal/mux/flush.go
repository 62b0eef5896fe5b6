package mux

import (
	"runtime"
	"time"
)

// kickLocked has what is to be sent sent by somebody else.
func (s *Session) kickLocked() {
	if s.flushing || s.mute || s.over != nil || !s.core.hasOutput() && s.then == nil {
		return
	}
	s.flushing = true
	go func() {
		runtime.Gosched() // what others have to send goes along
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flushLocked(nil)
	}()
}

// Flush sends what is held, as far as nothing has to be waited for. The rest is
// left to a goroutine.
func (s *Session) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.try == nil {
		s.kickLocked()
		return
	}
	if s.flushing || s.mute || s.over != nil || !s.core.hasOutput() {
		return
	}
	s.flushing = true
	seg := newSegment(len(sizes) - 1)
	n := s.core.fill(clock(), seg.B[:s.batch])
	s.dispatchLocked()
	done, err := true, error(nil)
	if n > 0 {
		s.mu.Unlock()
		done, err = s.try(seg.B[:n])
		s.mu.Lock()
	}
	seg.Release()
	switch {
	case err != nil:
		s.muteLocked()
		s.flushing = false
	case !done || s.core.hasOutput() || s.then != nil:
		go s.flushOn(done)
	default:
		s.flushing = false
	}
}

// flushOn goes on for Flush, and may wait.
func (s *Session) flushOn(settled bool) {
	var err error
	if !settled {
		err = s.settle()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.muteLocked()
	}
	s.flushLocked(nil)
}

// own is how often who has written what it wanted goes on for others,
// before it leaves that to a goroutine.
const own = 4

// flushLocked is for who has set flushing. It writes what there is to be
// written, by all; or, after what mine had, a part of it. The lock is free
// while it does.
func (s *Session) flushLocked(mine *Stream) {
	seg := newSegment(len(sizes) - 1)
	defer seg.Release()
	for turns := 0; s.over == nil && !s.mute; {
		now := clock()
		n := s.core.fill(now, seg.B[:s.batch])
		s.dispatchLocked()
		if n == 0 {
			break
		}
		s.mu.Unlock()
		err := s.write(seg.B[:n])
		s.mu.Lock()
		s.adaptLocked(clock() - now)
		if err != nil {
			s.muteLocked()
			break
		}
		if mine == nil || mine.unsent() > 0 && mine.allowed > 0 {
			continue
		}
		if turns++; turns >= own && s.core.hasOutput() {
			go func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.flushLocked(nil)
			}()
			return
		}
	}
	s.flushing = false
	if then := s.then; then != nil && s.over == nil && !s.mute {
		s.then = nil
		s.mu.Unlock()
		then()
		s.mu.Lock()
	}
}

// A connection that takes a batch slowly is a thin uplink: what is written
// there cannot be overtaken any more, so it gets less at once.
const (
	slowWrite = 20 * time.Millisecond
	smallest  = MaxBody + 2<<10 // of a batch: a frame, and control
)

func (s *Session) adaptLocked(took time.Duration) {
	switch {
	case took > slowWrite:
		s.batch = max(s.batch/2, smallest)
	case s.batch < FlushSize && took < slowWrite/4:
		s.batch = min(2*s.batch, FlushSize)
	}
}
