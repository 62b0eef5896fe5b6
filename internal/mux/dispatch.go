package mux

import "time"

// What comes is told to those it is for: who waits is woken under the lock, and
// who is called, by Receive's caller, is called without it.

// takeCallsLocked takes what is to be told to call without the lock.
func (s *Session) takeCallsLocked() []call {
	calls := s.calls
	s.calls, s.spare = s.spare, nil
	return calls
}

// takeOversLocked takes what is to be told of the session's end. The rest is
// for Receive, whose caller it is to hear.
func (s *Session) takeOversLocked() (overs []call) {
	rest := s.calls[:0]
	for _, c := range s.calls {
		if c.stream.over.Load() {
			overs = append(overs, c)
		} else {
			rest = append(rest, c)
		}
	}
	s.calls = rest
	return overs
}

func (s *Session) call(calls []call) {
	if len(calls) == 0 {
		return
	}
	for i, c := range calls {
		calls[i] = call{}
		if c.opened {
			s.accept(c.stream)
		}
		if c.fed {
			c.stream.feedNow()
		} else if f := c.stream.notify.Load(); f != nil {
			(*f)()
		}
	}
	s.mu.Lock()
	s.spare = calls[:0]
	s.mu.Unlock()
}

// call is what is to be told when the lock is free.
type call struct {
	stream *Stream
	opened bool
	fed    bool // see Stream.Feed
}

// dispatchLocked wakes who waits for an event, and notes whom Receive has to
// call.
func (s *Session) dispatchLocked() {
	for st := s.core.queues.pop(inTouched); st != nil; st = s.core.queues.pop(inTouched) {
		e := st.events
		st.events = 0
		fed := e&readable != 0 && st.feedsLocked()
		if e&readable != 0 && !fed {
			st.reader.wake()
		}
		if e&writable != 0 {
			st.writer.wake()
		}
		if e&acked != 0 {
			s.wakeOpenersLocked()
		}
		if e&opened != 0 {
			st.session = s
		}
		if e&opened != 0 || fed || e&readable != 0 && st.notify.Load() != nil {
			s.calls = append(s.calls, call{st, e&opened != 0, fed})
		}
	}
	if s.core.queues.first(inClosing) != nil && s.expiry == nil {
		s.expiry = time.AfterFunc(closeTime, s.expire)
	}
}

func (s *Session) wakeOpenersLocked() {
	if s.openers != nil {
		close(s.openers)
		s.openers = nil
	}
}
