package tunnel

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"trunkline/internal/fault"
	"trunkline/internal/mux"
)

// WriteSize is what is best written to a stream at once by who has much: two whole
// frames, and records of TLS, which the other end reads without a rest.
const WriteSize = 2 * mux.MaxBody

// Stream is a relay's stream to a device: a net.Conn whose close, by either
// side, ends both directions. The agent's reply is read when the first bytes
// are: if it refused, Read returns its *fault.Error.
type Stream struct {
	*mux.Stream
	t        *session
	answered atomic.Bool // the reply is read and was good

	mu    sync.Mutex // of the reply
	reply []byte     // as far as it is read
	err   error      // what Read returns for ever
}

// Mux is the stream below, for who passes on what comes behind the reply.
func (s *Stream) Mux() *mux.Stream { return s.Stream }

func (s *Stream) Read(b []byte) (int, error) {
	if !s.answered.Load() && len(b) > 0 {
		if n, err := s.first(b); n > 0 || err != nil {
			return n, err
		}
	}
	return s.Stream.Read(b)
}

// first reads the reply, and what came with it. It goes on where an earlier
// call ran into its deadline.
func (s *Stream) first(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.answered.Load() {
		return 0, s.err
	}
	if len(s.reply) == 0 {
		n, err := s.Stream.Read(b)
		if err != nil {
			return 0, unfinished(err)
		}
		if b[0] == replyAccepted {
			s.answered.Store(true)
			return copy(b, b[1:n]), nil
		}
		s.reply = append(s.reply, b[:n]...)
	}
	for {
		need, err := replyNeed(s.reply)
		if err != nil {
			s.err = err
			return 0, err
		}
		if len(s.reply) >= need {
			s.reply = s.reply[:need]
			break
		}
		buf := make([]byte, need-len(s.reply))
		n, err := s.Stream.Read(buf)
		s.reply = append(s.reply, buf[:n]...)
		if err != nil {
			return 0, unfinished(err)
		}
	}
	refusal, err := parseReply(s.reply)
	if refusal != nil {
		err = agentsRefusal(refusal)
	}
	s.reply, s.err = nil, err
	return 0, err
}

// unfinished is the error of a reply that has not come: an end without one is
// no end of anything.
func unfinished(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// agentsRefusal lets an agent say about a stream only what is its own to say:
// the code chooses the page that a person sees.
func agentsRefusal(f *fault.Error) *fault.Error {
	switch f.Code {
	case fault.PortalRefused, fault.PortalTimeout, fault.PortalGarbage, fault.PortalReset,
		fault.TooMany, fault.Unavailable, fault.AgentStopped, fault.NotReady, fault.Protocol,
		fault.LoginFailed, fault.Forbidden, fault.EndedByPBX:
		return f
	}
	return &fault.Error{Code: fault.PortalRefused, Message: f.Message, Retry: f.Retry}
}

// Alive reports whether an idle stream can carry another request: neither end
// nor tunnel has closed it, the agent is not leaving, and no byte waits that
// nobody asked for. What the agent did within the last round trip it cannot
// know.
func (s *Stream) Alive() bool {
	waiting := s.Unread()
	if waiting == 1 && !s.answered.Load() {
		waiting = 0 // the reply on a stream that nothing was asked on yet
	}
	return waiting == 0 && s.Open() && s.t.leaving.Load() == nil && !s.t.ending.Load()
}

// Reset is Close for a stream that did not come to its end. On the wire it is
// the same: HTTP's own framing tells the portal that something is missing.
func (s *Stream) Reset() { _ = s.Close() }
