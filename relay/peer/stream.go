package peer

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"trunkline/internal/id"
	"trunkline/internal/mux"
)

// Stream is a stream to a device at another relay. As on a tunnel, a close by
// either side ends both directions. If the agent refused it, the first Read
// returns its *fault.Error.
type Stream struct {
	*mux.Stream
	link     *link
	device   id.Device
	answered atomic.Bool // the agent's reply is read and was good

	repeatable atomic.Bool // see Repeatable
	abandoned  atomic.Bool // the link was in doubt, and the device could be reached otherwise

	mu  sync.Mutex // of that reply
	err error      // what Read returns for ever
}

func (s *Stream) Read(b []byte) (int, error) {
	if !s.answered.Load() && len(b) > 0 {
		if n, err := s.first(b); n > 0 || err != nil {
			return n, err
		}
	}
	n, err := s.Stream.Read(b)
	return n, s.cause(err)
}

// Lend is Read that copies nothing; see mux.Stream.
func (s *Stream) Lend(size int, use func(net.Buffers) error) (int, error) {
	n, err := s.Stream.Lend(size, use)
	return n, s.cause(err)
}

// TryLend is Lend that does not wait: its error is Temporary when there is nothing.
func (s *Stream) TryLend(size int, use func(net.Buffers) error) (int, error) {
	n, err := s.Stream.TryLend(size, use)
	return n, s.cause(err)
}

// Feed has take called with what comes, so that nobody is woken; see mux.Stream.
func (s *Stream) Feed(size int64, until time.Time, take func(net.Buffers) (more bool)) (int64, error) {
	n, err := s.Stream.Feed(size, until, take)
	return n, s.cause(err)
}

// cause makes the other relay's reset the error that a tunnel here would give, and
// the end of a stream that was abandoned that of its link.
func (s *Stream) cause(err error) error {
	if err != nil && s.abandoned.Load() {
		return errLost
	}
	if err != nil && errors.Is(err, mux.ErrReset) && s.ResetCode() == resetLost {
		return errTunnelLost
	}
	return err
}

// first reads the agent's reply, and what came with it.
func (s *Stream) first(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.answered.Load() {
		return 0, s.err
	}
	n, err := s.Stream.Read(b)
	if err != nil {
		return 0, unfinished(s.cause(err))
	}
	if b[0] == replyAccepted {
		s.answered.Store(true)
		return copy(b, b[1:n]), nil
	}
	s.err = readRefusal(&rest{b[1:n], s.Stream}, b[0])
	return 0, s.err
}

// rest is what was read already, and then the stream.
type rest struct {
	b []byte
	s *mux.Stream
}

func (r *rest) Read(b []byte) (int, error) {
	if len(r.b) > 0 {
		n := copy(b, r.b)
		r.b = r.b[n:]
		return n, nil
	}
	return r.s.Read(b)
}

// Repeatable says whether what was sent on s can be sent elsewhere, and nothing of
// an answer has been used: then s ends as if its link were lost, relay_lost, when
// the other relay does not answer and the device has another way in.
func (s *Stream) Repeatable(yes bool) { s.repeatable.Store(yes) }

// Alive reports whether an idle stream can carry another request.
func (s *Stream) Alive() bool {
	waiting := s.Unread()
	if waiting == 1 && !s.answered.Load() {
		waiting = 0 // the agent's reply on a stream that nothing was asked on yet
	}
	return waiting == 0 && s.Open() && !s.link.ending.Load() && !s.link.doubted.Load() && s.link.peers.o.Holder(s.device) == s.link.relay
}

// Closing is closed when the other relay is about to end s, in the seconds of its
// edge.Farewell.
func (s *Stream) Closing() <-chan struct{} { return s.link.closing }

// Reset ends the stream at once. For the device it is the same as a close:
// HTTP's own framing says that something is missing.
func (s *Stream) Reset() { _ = s.Close() }

var _ net.Conn = (*Stream)(nil)
