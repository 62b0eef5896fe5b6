package mux

import (
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// Config makes a Session. Write is needed.
type Config struct {
	// Client is the side whose streams have odd ids. Each side may open some.
	Client bool
	// Write sends b to the peer, whole or with an error, and may wait. It is
	// called by one goroutine at a time, and b is FlushSize at most.
	Write func(b []byte) error
	// TryWrite is Write that does not wait; nil if there is none. If it is not
	// done, Settle is called before anything else is written, and waits for what
	// is left of b.
	TryWrite func(b []byte) (done bool, err error)
	Settle   func() error
	// Control is asked, under the session's lock, for every ping and GoAway of
	// the peer; false is ErrFlood. Nil: all are taken.
	Control func() bool
	// Accept is called by Receive for every stream that the peer opens, and must
	// not wait. Nil: the peer may open none.
	Accept func(*Stream)
	// BothWays makes a close by either side end both directions.
	BothWays bool
	// Window is how far a stream's receive window may grow, up to 16 MiB;
	// 256 KiB if it is less.
	Window int
	// Growth is by how many bytes the windows of the session may grow in sum; no
	// bound if it is 0. Budget is the same for all sessions that share it.
	Growth int
	Budget *Budget
	// MaxStreams is how many streams there may be; the peer's beyond it are
	// reset. 1024 if it is 0.
	MaxStreams int
	// Lost is what reads and writes return when the session is over; ErrLost if
	// it is nil.
	Lost error
	// Addrs has the addresses that streams say are theirs.
	Addrs Addrs
}

// Addrs is a part of net.Conn.
type Addrs interface {
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// Session is many streams on one connection. Safe for concurrent use.
type Session struct {
	write  func([]byte) error
	try    func([]byte) (bool, error)
	settle func() error
	accept func(*Stream)
	lost   error
	addrs  Addrs

	mu       sync.Mutex // guards what follows, and the streams
	core     core
	flushing bool          // somebody writes; others leave what they have to them
	mute     bool          // nothing can be sent any more
	telling  bool          // Receive calls those who are to hear of something
	batch    int32         // what is written at once
	over     error         // nor received
	then     func()        // of Finish
	openers  chan struct{} // closed when those who wait in Open may try again; nil: nobody waits
	expiry   *time.Timer   // while a close is unanswered
	calls    []call        // for who frees the lock; see takeCallsLocked
	spare    []call        // their memory
	behind   *[]*Session   // see FlushBehind; nil until somebody asked for it
}

var began = time.Now()

// clock is monotonic, and not 0.
func clock() time.Duration { return time.Since(began) + 1 }

// New makes a session of a connection that is used by nobody else.
func New(c Config) *Session {
	if c.MaxStreams <= 0 {
		c.MaxStreams = 1024
	}
	if c.Lost == nil {
		c.Lost = ErrLost
	}
	return &Session{write: c.Write, try: c.TryWrite, settle: c.Settle, accept: c.Accept, lost: c.Lost, addrs: c.Addrs, core: newCore(c), batch: FlushSize}
}

var errBacklog = errors.New("mux: the peer has to acknowledge streams first")

// Open makes a stream. The peer hears of it with the first Write, Read or
// Close. If 256 are not acknowledged yet it waits, until cancel is closed.
func (s *Session) Open(cancel <-chan struct{}) (*Stream, error) {
	for {
		s.mu.Lock()
		if s.over != nil || s.mute || s.core.lastWord {
			s.mu.Unlock()
			return nil, s.lost
		}
		st, err := s.core.open(clock())
		if st != nil {
			st.session = s
		}
		if !errors.Is(err, errBacklog) {
			s.mu.Unlock()
			return st, err
		}
		if s.openers == nil {
			s.openers = make(chan struct{})
		}
		wake := s.openers
		s.mu.Unlock()
		select {
		case <-wake:
		case <-cancel:
			return nil, err
		}
	}
}

// Receive takes bytes that the peer has sent, cut anywhere: parts of seg. It
// keeps a hold on seg where that saves a copy, so the caller writes there no
// more unless seg is Alone. One goroutine at a time calls it. It never waits.
// After an error nothing more can be received, and the session should Fail.
func (s *Session) Receive(seg *Segment, parts ...[]byte) error {
	s.mu.Lock()
	if s.over != nil {
		s.mu.Unlock()
		return s.over
	}
	var err error
	now := clock()
	for i := 0; i < len(parts) && err == nil; i++ {
		err = s.core.receive(now, seg, parts[i])
	}
	s.dispatchLocked()
	calls := s.takeCallsLocked()
	s.telling = len(calls) > 0
	s.kickLocked()
	s.mu.Unlock()
	s.call(calls)
	if len(calls) > 0 {
		s.flushBehind()
	}
	return err
}

// FlushBehind has what o holds sent when all have been told of what s has received
// just now, and else at once: what many streams of s say to streams of o goes
// together. It is for functions that Receive calls.
func (s *Session) FlushBehind(o *Session) {
	s.mu.Lock()
	wait := s.telling
	if wait {
		if s.behind == nil {
			s.behind = new([]*Session)
		}
		if !slices.Contains(*s.behind, o) {
			*s.behind = append(*s.behind, o)
		}
	}
	s.mu.Unlock()
	if !wait {
		o.Flush()
	}
}

func (s *Session) flushBehind() {
	s.mu.Lock()
	s.telling = false
	all := s.behind
	s.behind = nil
	s.mu.Unlock()
	if all == nil {
		return
	}
	for i, o := range *all {
		(*all)[i] = nil
		o.Flush()
	}
	*all = (*all)[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind == nil { // its memory is used again
		s.behind = all
	}
}

func (s *Session) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expiry = nil
	if next := s.core.expire(clock()); next != 0 && s.over == nil {
		s.expiry = time.AfterFunc(next-clock()+time.Millisecond, s.expire)
	}
	s.dispatchLocked()
	s.kickLocked()
}

// Finish has nothing more sent but what was taken already, the ends of all
// streams, what urgent ones say, and words, on one of those; and then calls f, in
// another goroutine, unless the session fails before. Streams are lost to their
// readers: what the peer says of them from now on is an answer to this.
func (s *Session) Finish(on *Stream, words []byte, f func()) {
	s.mu.Lock()
	s.finishLocked(on, words, f)
	calls := s.takeOversLocked()
	s.mu.Unlock()
	s.call(calls)
}

func (s *Session) finishLocked(on *Stream, words []byte, f func()) {
	if s.over != nil || s.mute || s.core.lastWord {
		return
	}
	s.core.lastWord, s.then = true, f
	now := clock()
	for st := range s.core.streams.all() {
		if !st.urgent {
			st.broken = !st.finGot
			s.core.dropPending(st)
			s.core.touch(st, readable)
			s.core.closeWrite(st, now)
		}
	}
	if on != nil {
		on.holdLocked(words)
	}
	s.wakeOpenersLocked()
	s.dispatchLocked()
	s.kickLocked()
}

// muteLocked is for a connection that takes nothing any more. The peer may have
// said something that is still to be received.
func (s *Session) muteLocked() {
	s.mute = true
	for st := range s.core.streams.all() {
		s.core.dropUnsent(st)
	}
	s.wakeOpenersLocked()
	s.dispatchLocked()
}

// Fail ends the session at once: nothing is sent or received any more. What
// streams have received stays readable. It does not close the connection.
func (s *Session) Fail(err error) {
	s.mu.Lock()
	s.failLocked(err)
	calls := s.takeOversLocked()
	s.mu.Unlock()
	s.call(calls)
}

func (s *Session) failLocked(err error) {
	if s.over != nil {
		return
	}
	if err == nil {
		err = s.lost
	}
	s.over = err
	now := clock()
	for st := range s.core.streams.all() {
		st.broken = !st.finGot
		s.core.touch(st, readable|writable)
		s.core.forget(st, now)
	}
	s.core.pongs, s.core.resets = nil, nil
	s.wakeOpenersLocked()
	if s.expiry != nil {
		s.expiry.Stop()
		s.expiry = nil
	}
	s.dispatchLocked()
}

// Len is how many streams there are of which either side may still speak.
func (s *Session) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.streams.len()
}

// Ping has the round trip measured now, unless it is being measured. The answer
// also shows that the peer lives.
func (s *Session) Ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.core.pinging {
		s.core.pinging, s.core.pingDue = true, true
	}
	s.kickLocked()
}

// RTT is the round trip as it was measured; 0: it has not been yet.
func (s *Session) RTT() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.rtt
}

// Unacknowledged is for how long the peer has acknowledged none of the streams
// that wait for it.
func (s *Session) Unacknowledged() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.core.unacked == 0 {
		return 0
	}
	return clock() - s.core.ackedAt
}
